/** A TCP proxy on a port of its own: a cable that can be cut and mended, and that can keep WebSockets waiting. */
import { once } from "node:events";
import net from "node:net";

/** A line to the server at `url`. `line.url` is where it begins. */
export async function openLine(url) {
  const { hostname, port } = new URL(url);
  const line = new Line(hostname, Number(port));
  line.server.listen(0, "127.0.0.1");
  await once(line.server, "listening");
  return line;
}

class Line {
  constructor(host, port) {
    this.whole = true;
    this.to = { host, port };
    this.ends = new Set();
    this.open = Promise.resolve();
    this.upgrades = Promise.resolve();
    this.server = net.createServer((near) => {
      if (!this.whole) {
        near.destroy();
        return;
      }
      const far = net.connect({ ...this.to, noDelay: true });
      near.setNoDelay(true);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ]) {
        this.ends.add(one);
        // An end that breaks is how a cut looks from here; the other end is told by the close that follows.
        one.on("error", () => other.destroy());
        one.on("close", () => {
          this.ends.delete(one);
          other.destroy();
        });
      }
      far.pipe(near);
      this.#forward(near, far);
    });
  }

  async #forward(near, far) {
    const request = await next(near);
    const webSocket = request.includes("transport=websocket");
    if (webSocket) await this.open;
    far.write(request);
    if (webSocket) {
      far.write(await next(near));
      await this.upgrades;
    }
    near.pipe(far);
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  /** Keeps WebSockets from being opened, and so clients from upgrading, until the function that it returns is called. */
  holdWebSockets() {
    let release;
    this.open = new Promise((resolve) => (release = resolve));
    return release;
  }

  /** Lets WebSockets be probed, but keeps back what a client says after that, which is that it has changed over. */
  holdUpgrades() {
    let release;
    this.upgrades = new Promise((resolve) => (release = resolve));
    return release;
  }

  /** Everything that is open breaks, with a reset as after a crash, and nothing new gets through until `mend`. */
  cut() {
    this.whole = false;
    for (const end of this.ends) end.resetAndDestroy();
  }

  mend() {
    this.whole = true;
  }

  /** From the next connection on it leads to another server. */
  leadTo(url) {
    const { hostname, port } = new URL(url);
    this.to = { host: hostname, port: Number(port) };
  }

  async close() {
    this.cut();
    this.server.close();
    await once(this.server, "close");
  }
}

/** The next piece that comes in; nothing more is read for now. Stays open for ever when nothing comes. */
const next = (socket) =>
  new Promise((resolve) => {
    socket.once("data", (piece) => {
      socket.pause();
      resolve(piece);
    });
    socket.resume();
  });
