/**
 * What an app has sent somebody to /oauth/authorize with: pure.
 */
export const PARAMETERS = [
  "client_id",
  "redirect_uri",
  "response_type",
  "scope",
  "state",
  "code_challenge",
  "code_challenge_method",
];

/**
 * The parameters that we know; others do not matter. `twice` names one that is given more than once, which makes the request
 * mean two things (RFC 6749, 3.1).
 * @param {string} search
 * @returns {{request: Record<string, string>, twice: string | null}}
 */
export function requestOf(search) {
  const given = new URLSearchParams(search);
  const request = Object.fromEntries(PARAMETERS.map((name) => [name, given.get(name) ?? ""]));
  return { request, twice: PARAMETERS.find((name) => given.getAll(name).length > 1) ?? null };
}
