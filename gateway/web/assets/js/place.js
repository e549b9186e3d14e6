/**
 * Where this client stands in the log of a room: pure, no socket, no page.
 *
 * A position is an epoch and a number, "0f3a9c41-000000000012". Within one epoch a later event has the larger number; two epochs
 * have nothing to do with each other, and the server says `room.reset` or answers without `recovered` when it changes.
 */

export class Place {
  constructor() {
    /** @type {string | null} */
    this.position = null;
  }

  /**
   * An event that stands at `position`.
   * @returns {boolean} whether it is new here; it then counts as dealt with
   */
  take(position) {
    const [epoch, number] = position.split("-");
    const [here, last] = this.position?.split("-") ?? [];
    // Both have twelve digits, so they compare as text as they do as numbers.
    if (epoch === here && number <= last) return false;
    this.position = position;
    return true;
  }

  /** After a join or a reset: everything up to `position` is dealt with, or forgotten. */
  set(position) {
    this.position = position ?? null;
  }
}
