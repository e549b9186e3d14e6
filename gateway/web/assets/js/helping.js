/**
 * Coming into a class that somebody else coaches, to help: one joins its room to watch, and waits until its coach makes one a
 * co-coach.
 */
import { Live } from "./live.js";
import { Room } from "./room.js";
import { followAlerts } from "./safety-alerts.js";

export class Helping {
  /**
   * @param {any} login
   * @param {string} code of the class
   * @param {{onWaiting: (view: any) => void, onLeads: (view: any) => void, onProblem: (problem: any) => void}} watcher
   */
  constructor(login, code, watcher) {
    this.account = login.account.id;
    this.watcher = watcher;
    this.live = new Live(login);
    this.alerts = followAlerts(this.live, login);
    this.room = new Room(
      this.live,
      { code, role: "spectator" },
      {
        onBoard: () => {},
        onJoined: (view) => this.#see(view),
        onCoaches: (view) => this.#see(view),
        onEnded: () => this.watcher.onProblem({ message: "This class is over." }),
        onProblem: (problem) => this.watcher.onProblem(problem),
      },
    );
    this.live.start();
  }

  close() {
    this.room.close();
    this.alerts.close();
    this.live.stop();
  }

  #see(view) {
    if (view.coach_id === this.account || (view.co_coach_ids ?? []).includes(this.account)) this.watcher.onLeads(view);
    else this.watcher.onWaiting(view);
  }
}
