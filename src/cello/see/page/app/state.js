// What is being looked at. Whoever draws is told once a frame which parts have changed.

export class State {
  constructor(first) {
    Object.assign(this, first);
    this.listeners = [];
    this.changed = new Set();
  }

  set(changes) {
    for (const [name, value] of Object.entries(changes)) {
      if (this[name] !== value) {
        this[name] = value;
        if (!this.changed.size) requestAnimationFrame(() => this.tell());
        this.changed.add(name);
      }
    }
  }

  // `listener` is called if one of `names` has changed.
  on(names, listener) {
    this.listeners.push([names, listener]);
  }

  tell() {
    const changed = this.changed;
    this.changed = new Set();
    for (const [names, listener] of this.listeners) {
      if (names.some((name) => changed.has(name))) listener();
    }
  }
}
