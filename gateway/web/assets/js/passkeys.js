/**
 * Passkeys in this browser: made and shown, with bytes as the server writes them (base64url).
 */
import { Problem } from "./problem.js";

/** Whether a page here can use passkeys of `domain`; without it, whether the browser knows any. */
export function canUsePasskeys(domain = location.hostname) {
  const here = location.hostname;
  return Boolean(window.PublicKeyCredential) && (here === domain || here.endsWith(`.${domain}`));
}

/** Makes one as the server's options say; what to send back. Raises `Problem`. */
export async function makePasskey(options) {
  const made = await asked(() =>
    navigator.credentials.create({
      publicKey: {
        ...options,
        challenge: bytes(options.challenge),
        user: { ...options.user, id: bytes(options.user.id) },
        excludeCredentials: options.excludeCredentials.map((one) => ({ ...one, id: bytes(one.id) })),
      },
    }),
  );
  return {
    client_data_json: text(made.response.clientDataJSON),
    attestation_object: text(made.response.attestationObject),
  };
}

/** Shows one as the server's options say; what to send back. Raises `Problem`. */
export async function showPasskey(options) {
  const shown = await asked(() =>
    navigator.credentials.get({
      publicKey: {
        ...options,
        challenge: bytes(options.challenge),
        allowCredentials: options.allowCredentials.map((one) => ({ ...one, id: bytes(one.id) })),
      },
    }),
  );
  const { clientDataJSON, authenticatorData, signature, userHandle } = shown.response;
  return {
    id: text(shown.rawId),
    client_data_json: text(clientDataJSON),
    authenticator_data: text(authenticatorData),
    signature: text(signature),
    user_handle: userHandle?.byteLength ? text(userHandle) : null,
  };
}

async function asked(work) {
  try {
    return await work();
  } catch (refused) {
    console.info("no passkey:", refused);
    const message =
      refused.name === "InvalidStateError"
        ? "This device has a passkey for your account already."
        : "No passkey was used. Try again, or choose another way.";
    throw new Problem({ code: "no_passkey", message });
  }
}

function bytes(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (sign) => sign.charCodeAt(0));
}

function text(buffer) {
  const signs = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(signs).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
