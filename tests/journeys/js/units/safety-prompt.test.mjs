/** The question whether somebody is all right: it stands until it is answered or over. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Problem } from "../../../../gateway/web/assets/js/problem.js";
import { followSafety } from "../../../../gateway/web/assets/js/safety-prompt.js";
import { openDocument } from "./document.mjs";
import { Line } from "./line.mjs";
import { Timers, settle } from "./timers.mjs";

const ASKED = { incident: "a", kind: "over_limit", state: "prompted", revision: 1, bpm: 197, next_ms: 20_000 };
const CANCELLED = { ...ASKED, state: "cancelled", revision: 2 };

/** A page that follows; `missed` is what the server says that was asked meanwhile. */
function followed(test, missed = () => ({ incident: null })) {
  const document = openDocument(test);
  const line = new Line();
  line.answers["safety.cancel"] = CANCELLED;
  followSafety(line, { call: async () => missed() });
  test.after(() => line.stand({ phase: "over", fresh: false }));
  return { line, dialogs: document.body.children };
}

test("a browser that closes the question all the same has it opened again", async (test) => {
  const { line, dialogs } = followed(test);
  line.say("safety.prompt", ASKED);
  const [dialog] = dialogs;
  assert.equal(dialog.getAttribute("closedby"), "none");
  assert.equal(dialog.dispatch("cancel"), false, "the first Escape");
  dialog.close(); // the second, of which nobody is asked
  await settle();
  assert.ok(dialog.open);
});

test("a question that is closed is opened by what is told next of it", (test) => {
  const { line, dialogs } = followed(test);
  line.say("safety.prompt", ASKED);
  const [dialog] = dialogs;
  dialog.close();
  line.say("safety.prompt", { ...ASKED, state: "coach_told", revision: 2 });
  assert.ok(dialog.open);
});

test("an answer ends it, and nothing opens it again", async (test) => {
  const { line, dialogs } = followed(test);
  line.say("safety.prompt", ASKED);
  const [dialog] = dialogs;
  dialog.children.at(-1).dispatch("click");
  await settle();
  assert.deepEqual([dialog.open, dialog.parent, line.asked], [false, null, ["safety.cancel"]]);
  line.say("safety.prompt", ASKED);
  assert.ok(!dialog.open);
});

test("whether a question was missed is asked until the server says so", async (test) => {
  const timers = new Timers(test);
  let away = true;
  const { line, dialogs } = followed(test, () => {
    if (away) throw new Problem({ code: "unavailable", message: "not now", retry: true });
    return { incident: ASKED };
  });
  line.connect();
  await settle();
  assert.equal(dialogs.length, 0);
  away = false;
  await timers.jump(3_000);
  assert.ok(dialogs[0].open);
});
