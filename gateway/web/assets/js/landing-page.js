/**
 * The front door: a live class to look at, a code to enter, and three ways in.
 */
import { byId, setText } from "./dom.js";
import { Live } from "./live.js";
import { DisplayPass } from "./login.js";
import { Room } from "./room.js";
import { showStanding } from "./standing.js";
import { demoCode } from "./standings.js";
import { Wall } from "./wall.js";
import { count } from "./words.js";

const SHOWN = 6;

byId("code-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const code = byId("code").value.trim();
  if (/^[A-Za-z0-9]{4,12}$/.test(code)) {
    location.assign(`/board?code=${encodeURIComponent(code.toUpperCase())}`);
  } else {
    setText(byId("code-trouble"), "A join code has 4 to 12 letters and digits.");
    byId("code").focus();
  }
});

const code = await demoCode();
if (code) {
  const link = byId("demo-link");
  link.href = `/board?code=${encodeURIComponent(code)}`;
  link.hidden = false;
  preview(code);
}

/** The first six of the demo class, moving. */
function preview(ofCode) {
  const live = new Live(new DisplayPass(ofCode));
  const wall = new Wall(byId("preview-wall"));
  const room = new Room(
    live,
    { code: ofCode, role: "spectator" },
    {
      onJoined: ({ title }) => setText(byId("preview-title"), title),
      onBoard: show,
      onEnded: close,
      onProblem: close,
    },
  );
  showStanding(byId("preview-sign"), live);
  live.watch(({ phase }) => {
    if (phase === "over") close();
  });
  live.start();

  function show() {
    const lines = room?.board.lines() ?? [];
    if (!lines.length) return;
    byId("preview").hidden = false;
    wall.show(lines.slice(0, SHOWN), { fresh: room.fresh });
    setText(byId("preview-count"), `${count(lines.length, "athlete")} in this class`);
  }

  function close() {
    byId("preview").hidden = true;
    room.close();
    live.stop();
  }
}
