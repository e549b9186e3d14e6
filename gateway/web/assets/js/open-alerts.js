/**
 * The alerts that a coach's page knows: what came over the socket, and what the server said waits. Pure.
 *
 * The socket brings each change once, and only to who is there; what waits is asked for. The two are brought together by
 * incident and revision. An answer is as old as its question: what came meanwhile is newer, and is not taken for over because
 * the answer lacks it.
 */
import { isNews } from "./safety-words.js";

const WAITING = new Set(["coach_told", "contact_told"]);

export class OpenAlerts {
  constructor() {
    /** @type {Map<string, any>} by incident: the alert with the highest revision */
    this.known = new Map();
    this.questions = 0;
  }

  /** One alert; whether it is news. */
  take(alert) {
    if (!isNews(this.known.get(alert.incident), alert)) return false;
    this.known.set(alert.incident, alert);
    return true;
  }

  /** A question is on its way: what its answer is to be given back with. */
  ask() {
    this.questions += 1;
    return { question: this.questions, before: new Map(this.known) };
  }

  /** Whether another question has been asked since. */
  overtaken({ question }) {
    return question !== this.questions;
  }

  /**
   * What the server said: the alerts that are news, and those that wait no more, of which nothing is known any longer. An
   * answer that another question has overtaken says nothing; one that has no room for all (`more`) ends none.
   * @param {{question: number, before: Map<string, any>}} asked @param {{alerts: any[], more: boolean}} answer
   */
  takeAnswer(asked, { alerts, more }) {
    if (this.overtaken(asked)) return { news: [], gone: [] };
    const told = new Set(alerts.map(({ incident }) => incident));
    const gone = [...asked.before.values()].filter(
      (alert) =>
        !more && WAITING.has(alert.state) && !told.has(alert.incident) && this.known.get(alert.incident) === alert,
    );
    for (const { incident } of gone) this.known.delete(incident);
    return { news: alerts.filter((alert) => this.take(alert)), gone };
  }
}
