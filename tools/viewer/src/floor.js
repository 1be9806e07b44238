// Where one can stand: tiny pictures of the mesh from a place tell how far the surface is.

import { FloatType, OrthographicCamera, Vector3, WebGLRenderTarget } from "three";

const EDGE = 5, WIDTH_M = 0.3, REACH_M = 25;
const KNEE_M = 1.35; // so far below the eye it must be free: what is lower is a step or a floor, and what is higher furniture
const EYE_M = 1.65, ROOM_M = 0.7, FLOOR_OFF_M = 0.3;

export class FloorFinder {
  constructor(picture, mesh, uniforms) {
    Object.assign(this, { picture, mesh, uniforms });
    this.target = new WebGLRenderTarget(EDGE, EDGE, { count: 2 });
    this.target.textures[0].type = FloatType;
    this.camera = new OrthographicCamera(-WIDTH_M / 2, WIDTH_M / 2, WIDTH_M / 2, -WIDTH_M / 2, 0, REACH_M);
    this.read = new Float32Array(EDGE * EDGE * 4);
  }

  // How far the mesh, cut or not, is from a place in a direction: metres, or null beyond reach.
  _reach(place, direction) {
    const { renderer } = this.picture, { cutLow, cutHigh } = this.uniforms;
    const [low, high] = [cutLow.value.clone(), cutHigh.value.clone()], shown = this.mesh.visible;
    cutLow.value.setScalar(-1e9);
    cutHigh.value.setScalar(1e9);
    this.mesh.visible = true;
    this.camera.position.copy(place);
    this.camera.up.set(0, direction.z ? 1 : 0, direction.z ? 0 : 1);
    this.camera.lookAt(direction.clone().add(place));
    renderer.setRenderTarget(this.target);
    renderer.setClearColor(0, 0);
    renderer.clear();
    renderer.render(this.mesh, this.camera);
    renderer.readRenderTargetPixels(this.target, 0, 0, EDGE, EDGE, this.read);
    renderer.setRenderTarget(null);
    this.mesh.visible = shown;
    cutLow.value.copy(low);
    cutHigh.value.copy(high);
    const depths = this.read.filter((_, at) => at % 4 === 3).filter((depth) => depth > 0).sort();
    return depths.length ? depths[depths.length >> 1] : null;
  }

  // The height of the surface under an eye, or null.
  floorBelow(eye) {
    const knee = eye.clone();
    knee.z -= KNEE_M - 0.75;
    const depth = this._reach(knee, new Vector3(0, 0, -1));
    return depth === null ? null : knee.z - depth;
  }

  // A place on the first of some floors (their heights) that has one, with room around it and near to another place.
  standingPlace(near, floors, low, high) {
    const first = near.clone().clamp(low, high);
    for (const floor of floors) {
      const place = this._onFloor(first, floor);
      if (place) return place;
    }
    return first.setZ(floors[0]);
  }

  // That on one floor, or null.
  _onFloor(near, floor) {
    const first = near.clone().setZ(floor);
    let [best, most] = [null, 0];
    for (let turn = 0; turn < 60; turn++) {
      const away = 0.8 * Math.sqrt(turn), place = first.clone();
      place.x += away * Math.cos(2.4 * turn);
      place.y += away * Math.sin(2.4 * turn);
      const eye = place.clone().setZ(floor + EYE_M), below = this.floorBelow(eye);
      if (below === null || Math.abs(below - floor) > FLOOR_OFF_M) continue;
      const room = Math.min(...this._around(eye).map((each) => each.free));
      if (room > ROOM_M) return place;
      if (room > most) [best, most] = [place, room];
    }
    return best;
  }

  // The direction (radians) in which one sees the farthest surface, or null where there is none.
  openHeading(place) {
    const around = this._around(place.clone().setZ(place.z + EYE_M));
    const ends = around.filter((each) => each.free < REACH_M);
    return ends.length ? ends.reduce((best, each) => (each.free > best.free ? each : best)).heading : null;
  }

  _around(eye) {
    return [0, 1, 2, 3, 4, 5, 6, 7].map((n) => {
      const heading = (n * Math.PI) / 4;
      return { heading, free: this._reach(eye, new Vector3(Math.cos(heading), Math.sin(heading), 0)) ?? REACH_M };
    });
  }
}
