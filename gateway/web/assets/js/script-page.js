/**
 * Scripts: the library (`/script`), and the desk for the script of a class (`/script#class=…`) or one of the library
 * (`/script#library=…`). A class can begin with what another class has or with one from the library.
 */
import { accountForm } from "./account-form.js";
import { byId, make, setText, showView } from "./dom.js";
import { guarded } from "./guarded.js";
import { showInboxLink } from "./inbox-link.js";
import { Login } from "./login.js";
import { ScriptDesk } from "./script-desk.js";
import { ClassHome, LibraryHome } from "./script-homes.js";
import { ScriptLibrary } from "./script-library.js";

const MOST_BEGINNINGS = 50;

const login = new Login("coach");
const asked = new URLSearchParams(location.hash.slice(1));
const [classId, scriptId] = [asked.get("class"), asked.get("library")];
let shownFor = null;
let desk = null;
let library = null;

login.onChange(() => {
  if ((login.account?.id ?? null) !== shownFor) enter();
});
byId("log-out").addEventListener("click", () => login.logOut());
addEventListener("hashchange", () => location.reload());

async function enter() {
  const { account } = login;
  shownFor = account?.id ?? null;
  setText(byId("who"), account?.name ?? "");
  byId("log-out").hidden = !account;
  showInboxLink(login);
  if (!account) {
    accountForm(document.querySelector("[data-view=account]"), login, { as: "a coach", onDone: () => {} });
    showView("account");
    return;
  }
  if (classId || scriptId) await write();
  else await find();
}

async function find() {
  showView("library");
  library ??= new ScriptLibrary(login);
  await library.load();
}

async function write() {
  showView("script");
  const home = classId ? new ClassHome(login, classId) : new LibraryHome(login, scriptId);
  byId("to-home").href = home.back.href;
  setText(byId("to-home"), home.back.words);
  await guarded(byId("script-trouble"), async () => {
    if (!desk) {
      const stored = await home.read();
      desk = new ScriptDesk(login, home, stored);
    }
    if (home.mine) await beginnings();
  });
}

/** What can be the beginning of this one: the scripts of one's other classes, and those in the library. */
async function beginnings() {
  const [{ scripts }, { classes }] = await Promise.all([
    login.call("GET", `/v1/scripts?whose=any&limit=${MOST_BEGINNINGS}`),
    login.has("coach") ? login.call("GET", "/v1/classes") : { classes: [] },
  ]);
  const kept = scripts.filter(({ id }) => id !== scriptId);
  const me = login.account?.id;
  const groups = [
    ["Your library", kept.filter(({ owner_id: owner }) => owner === me).map(({ id, label }) => [`scripts/${id}`, label.name])],
    [
      "Shared",
      kept
        .filter(({ owner_id: owner }) => owner !== me)
        .map(({ id, label, owner_name: name }) => [`scripts/${id}`, `${label.name} (${name})`]),
    ],
    ["Your classes", classes.filter(({ id }) => id !== classId).map(({ id, title }) => [`classes/${id}/script`, title])],
  ].filter(([, choices]) => choices.length > 0);
  byId("begin").hidden = groups.length === 0;
  byId("begin-with").replaceChildren(
    ...groups.map(([label, choices]) =>
      make("optgroup", { label }, ...choices.map(([value, words]) => make("option", { value }, words))),
    ),
  );
}

enter();
