/**
 * A copy of everything about oneself, with its progress, and having it all erased.
 *
 * A copy is a long task: it goes on without this page, and is found again when one comes back. Progress comes over the socket, and may
 * be quicker than the answer to what it is about.
 */
import { byId, confirmed, setText, whileBusy } from "./dom.js";
import { guarded } from "./guarded.js";
import { callForFile } from "./http.js";
import { Problem } from "./problem.js";
import { steppingUp } from "./step-up.js";
import { copyWords, erasureWords, fileOf, isUnderWay } from "./your-data-words.js";

const KIND = "export_account";

export class YourData {
  /** @param {import("./login.js").Login} login @param {import("./live.js").Live} live */
  constructor(login, live) {
    this.login = login;
    this.task = null;
    this.erasure = null;
    this.decisions = 0;
    // Handlers, not listeners: whoever logs in next takes their place.
    byId("copy-make").onclick = (event) => whileBusy(event.currentTarget, () => this.#make());
    byId("copy-stop").onclick = (event) => whileBusy(event.currentTarget, () => this.#stop());
    byId("copy-fetch").onclick = (event) => whileBusy(event.currentTarget, () => this.#fetch());
    byId("erase").onclick = (event) => whileBusy(event.currentTarget, () => this.#erase());
    byId("erase-keep").onclick = (event) => whileBusy(event.currentTarget, () => this.#keep());
    live.on("task.progress", (task) => {
      if (task.kind === KIND && (!this.task || task.created_ms >= this.task.created_ms)) this.#learn(task);
    });
  }

  async load() {
    await this.loadCopy();
    await guarded(byId("erase-trouble"), async () => {
      const { decisions } = this;
      const erasure = await this.#asked();
      if (decisions === this.decisions) this.#showErasure(erasure);
    });
  }

  /** What has become of the last copy; to be asked again whenever its progress may have been missed. */
  async loadCopy() {
    await guarded(byId("copy-trouble"), async () => {
      const before = this.task;
      const { tasks } = await this.login.call("GET", "/v1/tasks?limit=20");
      const task = tasks.find(({ kind }) => kind === KIND) ?? null;
      if (task) this.#learn(task);
      else if (before === this.task) this.#show(null);
    });
  }

  async #asked() {
    try {
      return await this.login.call("GET", "/v1/me/erasure");
    } catch (problem) {
      if (problem instanceof Problem && problem.code === "not_found") return null;
      throw problem;
    }
  }

  /** Shows what is news: what is said late of a task that has ended, or of an earlier one, is not. */
  #learn(task) {
    const known = this.task;
    const late = known && (task.task === known.task ? isUnderWay(task) && !isUnderWay(known) : task.created_ms < known.created_ms);
    if (!late) this.#show(task);
  }

  #show(task) {
    this.task = task;
    const [now, under] = [Date.now(), isUnderWay(task)];
    setText(byId("copy-state"), copyWords(task, now));
    const bar = byId("copy-progress");
    bar.hidden = !under;
    if (task?.total) bar.setAttribute("value", String((task.done ?? 0) / task.total));
    else bar.removeAttribute("value");
    byId("copy-make").hidden = under;
    byId("copy-stop").hidden = !under || Boolean(task.cancelling);
    byId("copy-fetch").hidden = !fileOf(task, now);
  }

  async #make() {
    await guarded(byId("copy-trouble"), async () => {
      const key = `page-${Date.now().toString(36)}`;
      this.#learn(await steppingUp(this.login, () => this.login.call("POST", "/v1/tasks", { key, work: { kind: KIND } })));
    });
  }

  async #stop() {
    await guarded(byId("copy-trouble"), async () => this.#learn(await this.login.call("DELETE", `/v1/tasks/${this.task.task}`)));
  }

  async #fetch() {
    await guarded(byId("copy-trouble"), async () => {
      const { name } = fileOf(this.task, Date.now()) ?? {};
      if (!name) return this.#show(this.task);
      const given = () => this.login.token().then((token) => callForFile(`/v1/tasks/${this.task.task}/result`, token));
      const file = URL.createObjectURL(await steppingUp(this.login, given));
      const link = Object.assign(document.createElement("a"), { href: file, download: name });
      link.click();
      setTimeout(() => URL.revokeObjectURL(file), 60_000); // a browser may begin to read it after the click
    });
  }

  #showErasure(erasure) {
    this.erasure = erasure;
    setText(byId("erase-state"), erasureWords(erasure));
    byId("erase").hidden = Boolean(erasure);
    byId("erase-keep").hidden = !erasure;
  }

  async #erase() {
    const yes = await confirmed({
      title: "Erase your account?",
      text: "In a week your account is closed and everything about you goes, for good. Until then you can log in and keep it.",
      yes: "Erase it in a week",
    });
    if (!yes) return;
    await guarded(byId("erase-trouble"), async () => {
      const erasure = await steppingUp(this.login, () => this.login.call("POST", "/v1/me/erasure"));
      this.decisions += 1;
      this.#showErasure(erasure);
      byId("data-title").focus();
    });
  }

  async #keep() {
    await guarded(byId("erase-trouble"), async () => {
      await this.login.call("DELETE", "/v1/me/erasure");
      this.decisions += 1;
      this.#showErasure(null);
      setText(byId("account-said"), "You keep your account.");
      byId("data-title").focus();
    });
  }
}
