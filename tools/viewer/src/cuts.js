// The box that is left of the building: two sliders for each axis, and the storeys, which set those of the height.

import { Vector3 } from "three";

const AXES = ["x", "y", "z"];
const STEPS = 1000, SAMPLE = 100000, WALL_M = 3;

export class Cuts {
  // uniforms: cutLow, cutHigh, wholeLow, wholeHigh, Vector3 each.
  constructor(low, high, uniforms, changed) {
    const margin = 0.02 * Math.max(...high.clone().sub(low).toArray()) + 0.01;
    this.low = low.clone().subScalar(margin);
    this.high = high.clone().addScalar(margin);
    Object.assign(this, { uniforms, changed, sliders: {} });
    uniforms.wholeLow.value.copy(this.low);
    uniforms.wholeHigh.value.copy(this.high);
    for (const axis of AXES) {
      const pair = ["from", "to"].map((end) => document.getElementById(`cut-${axis}-${end}`));
      this.sliders[axis] = pair;
      for (const [number, slider] of pair.entries()) {
        slider.max = STEPS;
        slider.addEventListener("input", () => {
          const [from, to] = pair.map((each) => +each.value);
          if (from > to) pair[number].value = number ? from : to;
          this._read(axis);
          this.byHand?.(axis);
        });
      }
    }
    this.whole();
  }

  whole() {
    for (const axis of AXES) this.between(axis, -Infinity, Infinity);
  }

  between(axis, low, high) {
    const [from, to] = this.sliders[axis], span = this.high[axis] - this.low[axis];
    for (const [slider, place] of [[from, low], [to, high]])
      slider.value = Math.round(STEPS * Math.min(1, Math.max(0, (place - this.low[axis]) / span)));
    this._read(axis);
  }

  _read(axis) {
    const [from, to] = this.sliders[axis], span = this.high[axis] - this.low[axis];
    const at = (slider) => this.low[axis] + (span * slider.value) / STEPS;
    this.uniforms.cutLow.value[axis] = at(from);
    this.uniforms.cutHigh.value[axis] = at(to);
    for (const slider of [from, to]) slider.setAttribute("aria-valuetext", `${(at(slider) - this.low[axis]).toFixed(2)} m`);
    const track = from.parentElement.style;
    track.setProperty("--from", from.value / STEPS);
    track.setProperty("--to", to.value / STEPS);
    this.changed();
  }

  // From where to where along each axis, metres in a frame whose origin lies at -middle; null: all there is.
  ends(middle) {
    return AXES.map((axis, n) => {
      const [from, to] = this.sliders[axis].map((slider) => +slider.value), span = this.high[axis] - this.low[axis];
      const at = (step) => this.low[axis] + (span * step) / STEPS + middle[n];
      return [from === 0 ? null : at(from), to === STEPS ? null : at(to)];
    });
  }

  setEnds(ends, middle) {
    for (const [n, axis] of AXES.entries()) {
      const [from, to] = ends[n];
      this.between(axis, from === null ? -Infinity : from - middle[n], to === null ? Infinity : to - middle[n]);
    }
  }

  get values() {
    return AXES.map((axis) => this.sliders[axis].map((slider) => slider.value));
  }

  set values(values) {
    for (const [number, axis] of AXES.entries()) {
      this.sliders[axis].forEach((slider, end) => (slider.value = values[number][end]));
      this._read(axis);
    }
  }

  // Some of the places (x y z one after the other) that are left; of all where none is.
  left(places) {
    const { cutLow: { value: low }, cutHigh: { value: high } } = this.uniforms, step = 3 * Math.ceil(places.length / 3 / SAMPLE);
    const found = [], any = [];
    for (let at = 0; at < places.length; at += step) {
      const place = [places[at], places[at + 1], places[at + 2]];
      any.push(...place);
      if (place[2] - high.z < WALL_M) place[2] = Math.min(place[2], high.z); // walls end where they are cut
      if (AXES.every((axis, n) => place[n] >= low[axis] && place[n] <= high[axis])) found.push(...place);
    }
    return found.length ? found : any;
  }
}

export const cutUniforms = () => ({ cutLow: { value: new Vector3() }, cutHigh: { value: new Vector3() } });
