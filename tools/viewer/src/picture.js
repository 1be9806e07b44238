// Draws the layers: shapes and colours first, then light and edges, and on a picture at rest the mean of several.

import {
  ColorManagement, CustomBlending, FloatType, GLSL3, HalfFloatType, LinearSRGBColorSpace, Matrix3, Mesh, NearestFilter,
  NoBlending, OrthographicCamera, PlaneGeometry, Scene, ShaderMaterial, Vector2, Vector3, WebGLRenderer,
  WebGLRenderTarget, OneFactor, OneMinusSrcAlphaFactor, SrcAlphaFactor, UnsignedByteType,
} from "three";
import { COPY_FRAGMENT, LIGHT_FRAGMENT, SCREEN_VERTEX } from "./shaders.js";

const FRAMES = 16; // whose mean smooths edges and corners
const MOST_PIXELS = 4.2e6;
const SLOW_MS = 120, FRAMES_IF_SLOW = 4; // a frame that takes longer: coarse while it moves, and fewer at rest

export class Picture {
  constructor(canvas, camera, look) {
    ColorManagement.enabled = false; // colours are as they are shown, from the photo to the screen
    this.renderer = new WebGLRenderer({ canvas, antialias: false, powerPreference: "high-performance" });
    this.renderer.outputColorSpace = LinearSRGBColorSpace;
    this.renderer.autoClear = false;
    this.camera = camera;
    this.layers = new Scene();
    const precise = this.renderer.getContext().getExtension("EXT_color_buffer_float");
    if (!precise) throw new Error("the graphics of this machine draw no numbers (EXT_color_buffer_float)");
    this.seen = new WebGLRenderTarget(1, 1, { count: 2, minFilter: NearestFilter, magFilter: NearestFilter });
    this.seen.textures[0].type = FloatType;
    this.seen.textures[1].type = UnsignedByteType;
    this.lit = new WebGLRenderTarget(1, 1, { depthBuffer: false, minFilter: NearestFilter, magFilter: NearestFilter });
    this.mean = new WebGLRenderTarget(1, 1, {
      depthBuffer: false, type: HalfFloatType, minFilter: NearestFilter, magFilter: NearestFilter,
    });
    this.light = screenPass(LIGHT_FRAGMENT, {
      shapes: { value: this.seen.textures[0] }, colours: { value: this.seen.textures[1] },
      tangents: { value: new Vector2() }, toWorld: { value: new Matrix3() }, radius: { value: 0.4 }, turn: { value: 0 },
      pixel: { value: 1 }, keyLight: { value: new Vector3(-0.45, -0.62, 0.64).normalize() }, ...look,
    });
    this.add = screenPass(COPY_FRAGMENT, { picture: { value: this.lit.texture }, weight: { value: 1 } }, {
      blending: CustomBlending, blendSrc: SrcAlphaFactor, blendDst: OneMinusSrcAlphaFactor,
      blendSrcAlpha: OneFactor, blendDstAlpha: OneMinusSrcAlphaFactor, transparent: true,
    });
    this.copy = screenPass(COPY_FRAGMENT, { picture: { value: this.mean.texture }, weight: { value: 1 } });
    this.frames = 0;
    this.size = new Vector2();
    this.afterDraw = () => {};
    this.pending = false;
    Object.assign(this, { slow: false, coarse: false, last: 0 });
  }

  resize(width, height) {
    this.box = [width, height];
    this.ratio = Math.min(window.devicePixelRatio || 1, 2, Math.sqrt(MOST_PIXELS / (width * height)));
    this.camera.aspect = width / height;
    this._fit();
    this.changed();
  }

  _fit() {
    const ratio = this.coarse ? this.ratio / 2 : this.ratio;
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(...this.box, false);
    this.renderer.getDrawingBufferSize(this.size);
    for (const target of [this.seen, this.lit, this.mean]) target.setSize(this.size.x, this.size.y);
    this.light.material.uniforms.pixel.value = Math.max(1, Math.round(ratio * 0.75));
    this.resized?.();
  }

  _refine(coarse) {
    if (coarse === this.coarse) return;
    this.coarse = coarse;
    this._fit();
  }

  // Something is to be drawn anew.
  changed() {
    this.frames = 0;
    this.moving = true;
    this._request();
  }

  get atRest() {
    return !this.moving && this.frames >= (this.slow ? FRAMES_IF_SLOW : FRAMES);
  }

  _request() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame((now) => {
      this.pending = false;
      if (this.frames > 0 || this.continued) this.slow = now - this.last > SLOW_MS;
      this.last = now;
      if (this.frames === 0) this._refine(this.slow && this.moving);
      this.draw();
      if (this.coarse) this.frames = 0; // the next one is fine, unless something changes before
      this.moving = false;
      this.continued = !this.atRest;
      if (this.continued) this._request();
    });
  }

  // One frame more of the mean.
  draw() {
    const { renderer, camera, size, light } = this;
    const [x, y] = this.frames ? [halton(this.frames, 2) - 0.5, halton(this.frames, 3) - 0.5] : [0, 0];
    camera.setViewOffset(size.x, size.y, x, y, size.x, size.y);
    camera.updateProjectionMatrix();
    camera.updateMatrixWorld();
    renderer.setRenderTarget(this.seen);
    renderer.setClearColor(0, 0);
    renderer.clear();
    renderer.render(this.layers, camera);
    const tangent = Math.tan((camera.fov * Math.PI) / 360);
    light.material.uniforms.tangents.value.set(tangent * camera.aspect, tangent);
    light.material.uniforms.toWorld.value.setFromMatrix4(camera.matrixWorld);
    light.material.uniforms.turn.value = halton(this.frames + 1, 5);
    this._pass(light, this.lit);
    this.add.material.uniforms.weight.value = 1 / (this.frames + 1);
    this._pass(this.add, this.mean);
    this._pass(this.copy, null);
    if (this.frames === 0) this.afterDraw();
    this.frames++;
  }

  _pass(pass, target) {
    this.renderer.setRenderTarget(target);
    this.renderer.render(pass, SCREEN_CAMERA);
  }

  // The place seen at a pixel of the page (x, y from the canvas' corner), or null; a little aside where it is a gap.
  placeAt(x, y, width, height) {
    const column = Math.round((x / width) * this.size.x), row = Math.round((1 - y / height) * this.size.y);
    const reach = 4, edge = 2 * reach + 1, found = new Float32Array(edge * edge * 4);
    const left = Math.min(Math.max(column - reach, 0), this.size.x - edge);
    const bottom = Math.min(Math.max(row - reach, 0), this.size.y - edge);
    this.renderer.readRenderTargetPixels(this.seen, left, bottom, edge, edge, found);
    let best = null, nearest = Infinity;
    for (let at = 0; at < edge * edge; at++) {
      const depth = found[4 * at + 3], dx = left + (at % edge) - column, dy = bottom + Math.floor(at / edge) - row;
      if (depth > 0 && dx * dx + dy * dy < nearest) [nearest, best] = [dx * dx + dy * dy, depth];
    }
    if (best === null) return null;
    const tangent = Math.tan((this.camera.fov * Math.PI) / 360);
    const place = new Vector3((2 * x / width - 1) * tangent * this.camera.aspect, (1 - 2 * y / height) * tangent, -1);
    return place.multiplyScalar(best).applyMatrix4(this.camera.matrixWorld);
  }
}

const SCREEN_CAMERA = new OrthographicCamera(-1, 1, 1, -1, 0, 1);

function screenPass(fragmentShader, uniforms, blending = { blending: NoBlending }) {
  const material = new ShaderMaterial({
    vertexShader: SCREEN_VERTEX, fragmentShader, uniforms, glslVersion: GLSL3, depthTest: false, depthWrite: false, ...blending,
  });
  const square = new Mesh(new PlaneGeometry(2, 2), material);
  square.frustumCulled = false;
  const scene = new Scene().add(square);
  scene.material = material;
  return scene;
}

function halton(index, base) {
  let found = 0, share = 1;
  for (let rest = index; rest > 0; rest = Math.floor(rest / base)) found += (rest % base) * (share /= base);
  return found;
}
