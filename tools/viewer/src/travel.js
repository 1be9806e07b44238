// How one gets about: around the building, or through it on foot.

import { MathUtils, Spherical, Vector3 } from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";

const UP = new Vector3(0, 0, 1);
const EYE_M = 1.65, PACE_M_PER_S = 1.8, RUN = 3, TURN_PER_S = 1.6, RADIANS_PER_PIXEL = 0.0042;
const MARGIN = 0.94; // of half the picture

export class Orbit {
  constructor(camera, canvas, changed) {
    this.camera = camera;
    this.changed = changed;
    this.controls = new OrbitControls(camera, canvas);
    Object.assign(this.controls, { enableDamping: false, zoomToCursor: true, screenSpacePanning: true });
    this.controls.addEventListener("change", changed);
  }

  start() {
    this.controls.enabled = true;
  }

  stop() {
    this.controls.enabled = false;
  }

  // Look at places (x y z one after the other) from above at an angle, all of them in the picture; insets: pixels that
  // other things cover.
  frame(places, heading, elevation, insets, width, height) {
    const towards = new Vector3(
      Math.cos(elevation) * Math.cos(heading), Math.cos(elevation) * Math.sin(heading), -Math.sin(elevation),
    );
    const right = towards.clone().cross(UP).normalize(), up = right.clone().cross(towards);
    const tall = Math.tan(MathUtils.degToRad(this.camera.fov / 2)), wide = (tall * width) / height;
    // Right and up: how far from the middle of the picture it may reach to either side, and the middle of what is free.
    const free = [
      { axis: right, low: wide * MARGIN, high: wide * (MARGIN - (2 * insets.right) / width), aside: (wide * insets.right) / width },
      {
        axis: up, low: tall * (MARGIN - (2 * insets.bottom) / height), high: tall * (MARGIN - (2 * insets.top) / height),
        aside: (tall * (insets.top - insets.bottom)) / height,
      },
    ];
    const middle = new Vector3();
    let away = 0.5;
    for (let pass = 0; pass < 3; pass++) {
      // The middle of their outline in the picture, from where the last pass stood; at first from far away.
      const ends = [right, up, towards].map(() => [Infinity, -Infinity]);
      const local = new Vector3(), from = pass ? away : 1e6;
      for (let at = 0; at < places.length; at += 3) {
        local.fromArray(places, at).sub(middle);
        const depth = local.dot(towards), scale = from / (from + depth);
        for (const [n, value] of [local.dot(right) * scale, local.dot(up) * scale, depth].entries())
          ends[n] = [Math.min(ends[n][0], value), Math.max(ends[n][1], value)];
      }
      for (const [n, axis] of [right, up, towards].entries())
        if (n < 2 || pass === 0) middle.addScaledVector(axis, (ends[n][0] + ends[n][1]) / 2);
      away = 0.5;
      for (let at = 0; at < places.length; at += 3) {
        local.fromArray(places, at).sub(middle);
        const depth = local.dot(towards);
        for (const { axis, low, high, aside } of free) {
          const place = local.dot(axis);
          away = Math.max(away, (-place - low * depth) / (low - aside), (place - high * depth) / (high + aside));
        }
      }
    }
    this.controls.target.copy(middle);
    for (const { axis, aside } of free) this.controls.target.addScaledVector(axis, aside * away);
    this.camera.position.copy(this.controls.target).addScaledVector(towards, -away);
    this.camera.up.copy(UP);
    this.controls.update();
    this.changed();
  }

  key(key, seconds) {
    const away = this.camera.position.clone().sub(this.controls.target);
    const place = new Spherical().setFromVector3(new Vector3(away.x, away.z, -away.y));
    const turn = 1.4 * seconds, { w, s, a, d, left, right, up, down, nearer, farther } = key;
    place.theta += turn * ((right ?? 0) - (left ?? 0));
    place.phi = MathUtils.clamp(place.phi + turn * ((down ?? 0) - (up ?? 0)), 0.02, Math.PI - 0.02);
    place.radius *= Math.exp(1.2 * seconds * ((farther ?? 0) - (nearer ?? 0)));
    const found = new Vector3().setFromSpherical(place);
    const ahead = new Vector3(-away.x, -away.y, 0).normalize(), side = ahead.clone().cross(UP);
    const step = place.radius * 0.6 * seconds;
    this.controls.target.addScaledVector(ahead, step * ((w ?? 0) - (s ?? 0))).addScaledVector(side, step * ((d ?? 0) - (a ?? 0)));
    this.camera.position.set(found.x, -found.z, found.y).add(this.controls.target);
    this.controls.update();
    this.changed();
  }
}

export class Walk {
  // floorBelow: place -> height of the surface under it, or null.
  constructor(camera, canvas, floorBelow, changed) {
    Object.assign(this, { camera, canvas, floorBelow, changed, heading: 0, pitch: 0, active: false, lift: 0 });
    this.pointers = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      if (this.active) this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    for (const end of ["pointerup", "pointercancel"])
      window.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    window.addEventListener("pointermove", (event) => this._look(event));
    canvas.addEventListener("wheel", (event) => {
      if (!this.active) return;
      event.preventDefault();
      this._step(-Math.sign(event.deltaY) * 0.35, 0);
    }, { passive: false });
  }

  // Stand at a place of the floor and look in a direction.
  start(place, heading) {
    this.active = true;
    this.camera.position.copy(place);
    this.camera.position.z += EYE_M;
    [this.heading, this.pitch, this.lift] = [heading, -0.08, 0];
    this._ground(true);
    this._turn();
  }

  stop() {
    this.active = false;
    this.pointers.clear();
  }

  // Two fingers walk, one looks around.
  _look(event) {
    const before = this.pointers.get(event.pointerId);
    if (!this.active || !before) return;
    const [x, y] = [event.clientX - before[0], event.clientY - before[1]];
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.pointers.size > 1) {
      this._step(-y * 0.012, x * 0.012);
      return;
    }
    this.heading += x * RADIANS_PER_PIXEL;
    this.pitch = MathUtils.clamp(this.pitch + y * RADIANS_PER_PIXEL, -1.45, 1.45);
    this._turn();
  }

  key({ w, s, a, d, left, right, up, down, higher, lower, fast }, seconds) {
    this.heading += TURN_PER_S * seconds * ((left ?? 0) - (right ?? 0));
    this.lift = Math.max(-EYE_M + 0.2, this.lift + 1.2 * seconds * ((higher ?? 0) - (lower ?? 0)));
    const pace = PACE_M_PER_S * seconds * (fast ? RUN : 1);
    const ahead = Math.min(1, (w ?? 0) + (up ?? 0)) - Math.min(1, (s ?? 0) + (down ?? 0));
    this._step(pace * ahead, pace * ((d ?? 0) - (a ?? 0)));
  }

  _step(ahead, aside) {
    const [cos, sin] = [Math.cos(this.heading), Math.sin(this.heading)];
    this.camera.position.x += cos * ahead + sin * aside;
    this.camera.position.y += sin * ahead - cos * aside;
    this._ground(false);
    this._turn();
  }

  // Keep the eye over the floor, over stairs as well; without a floor, where it is.
  _ground(atOnce) {
    const floor = this.floorBelow(this.camera.position);
    if (floor === null) return;
    const wanted = floor + EYE_M + this.lift, off = wanted - this.camera.position.z;
    this.camera.position.z = atOnce || Math.abs(off) < 0.02 ? wanted : this.camera.position.z + off * 0.35;
  }

  _turn() {
    const flat = Math.cos(this.pitch);
    const ahead = new Vector3(flat * Math.cos(this.heading), flat * Math.sin(this.heading), Math.sin(this.pitch));
    this.camera.up.copy(UP);
    this.camera.lookAt(ahead.add(this.camera.position));
    this.changed();
  }
}
