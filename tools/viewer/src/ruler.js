// Distances between clicked places, drawn over the picture.

import { Vector3 } from "three";

const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export class Ruler {
  constructor(svg, camera, told) {
    Object.assign(this, { svg, camera, told, pairs: [], first: null });
  }

  // A clicked place; the second one makes a measurement.
  add(place) {
    if (this.first === null) {
      this.first = place;
      this.told("First point set. Choose the second one.");
    } else {
      const pair = [this.first, place], across = Math.hypot(place.x - pair[0].x, place.y - pair[0].y);
      this.pairs.push(pair);
      this.first = null;
      const [length, up] = [pair[0].distanceTo(place), Math.abs(place.z - pair[0].z)];
      this.told(`${length.toFixed(3)} m (level ${across.toFixed(3)} m, height ${up.toFixed(3)} m)`);
    }
    this.draw();
  }

  clear() {
    [this.pairs, this.first] = [[], null];
    this.told("");
    this.draw();
  }

  // Where a place lies in the picture, or null behind the camera.
  _at(place, width, height) {
    const seen = place.clone().applyMatrix4(this.camera.matrixWorldInverse);
    if (seen.z > -0.03) return null;
    const at = place.clone().project(this.camera);
    return [((at.x + 1) / 2) * width, ((1 - at.y) / 2) * height];
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.svg;
    this.svg.replaceChildren();
    const dot = (at) => at && this.svg.append(element("circle", { cx: at[0], cy: at[1], r: 4.5 }));
    if (this.first) dot(this._at(this.first, width, height));
    for (const [from, to] of this.pairs) {
      const [start, end] = [this._at(from, width, height), this._at(to, width, height)];
      if (!start || !end) continue;
      for (const kind of ["under", "over"])
        this.svg.append(element("line", { x1: start[0], y1: start[1], x2: end[0], y2: end[1], class: kind }));
      dot(start);
      dot(end);
      const middle = new Vector3((start[0] + end[0]) / 2, (start[1] + end[1]) / 2);
      const label = element("text", { x: middle.x, y: middle.y - 9 });
      label.textContent = `${from.distanceTo(to).toFixed(2)} m`;
      this.svg.append(label);
    }
  }
}
