import assert from "node:assert/strict";
import { test } from "node:test";

import { atHomeWords, keyWords, linesOf } from "../../../../gateway/web/assets/js/app-words.js";
import { requestOf } from "../../../../gateway/web/assets/js/authorize-request.js";

test("a request has the parameters that we know, and no others", () => {
  const { request, twice } = requestOf("?client_id=a&scope=x%20y&foo=1&state=");
  assert.deepEqual(request, {
    client_id: "a",
    redirect_uri: "",
    response_type: "",
    scope: "x y",
    state: "",
    code_challenge: "",
    code_challenge_method: "",
  });
  assert.equal(twice, null);
});

test("a parameter that is given twice is named", () => {
  assert.equal(requestOf("?redirect_uri=https://a&redirect_uri=https://b").twice, "redirect_uri");
  assert.equal(requestOf("?foo=1&foo=2").twice, null);
});

test("redirect URIs stand one per line", () => {
  assert.deepEqual(linesOf(" https://a/cb \n\n\thttp://127.0.0.1/cb\n"), ["https://a/cb", "http://127.0.0.1/cb"]);
  assert.deepEqual(linesOf(" \n"), []);
});

test("a key says since when, whether it was used, and until when", () => {
  const day = 86_400_000;
  assert.match(keyWords({ created_at_ms: 0, expires_at_ms: null, used_at_ms: null }, day), /^since .*, never used$/);
  assert.match(keyWords({ created_at_ms: 0, expires_at_ms: 2 * day, used_at_ms: day }, day), /^since .*, last used .*, until /);
  assert.match(keyWords({ created_at_ms: 0, expires_at_ms: day, used_at_ms: null }, day), /^ended .*, never used$/);
});

test("an app at home says since when, and when it was last seen", () => {
  assert.doesNotMatch(atHomeWords({ since_ms: 5, used_at_ms: 5 }), /last seen/);
  assert.match(atHomeWords({ since_ms: 5, used_at_ms: 86_400_000 }), /last seen/);
});
