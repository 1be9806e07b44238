// The page of a reconstruction: reads what the page holds, and joins picture, ways to get about, and switches.

import { PerspectiveCamera, Vector3 } from "three";
import { Cuts, cutUniforms } from "./cuts.js";
import { layout, texts } from "./data.js";
import { FloorFinder } from "./floor.js";
import { look, meshLayer, paint, pointLayer } from "./layers.js";
import { byId, choices, showLegend, showTexts } from "./panel.js";
import { Picture } from "./picture.js";
import { Ruler } from "./ruler.js";
import { together } from "./together.js";
import { Orbit, Walk } from "./travel.js";

const HEADING_OFF_WALLS = 0.25, ELEVATION = 0.9; // radians
const AHEAD_M = 3; // of a walk: where the others turn around
const KEYS = {
  KeyW: "w", KeyS: "s", KeyA: "a", KeyD: "d", ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down",
  KeyE: "higher", KeyQ: "lower", ShiftLeft: "fast", ShiftRight: "fast", Equal: "nearer", NumpadAdd: "nearer", Minus: "farther",
  NumpadSubtract: "farther",
};

async function open() {
  showTexts(texts);
  const canvas = byId("view"), stage = byId("stage");
  const camera = new PerspectiveCamera(38, 1, 0.05, 1000);
  const pictureLook = look(), cutBox = cutUniforms();
  const picture = new Picture(canvas, camera, pictureLook);
  const changed = () => picture.changed();
  const [layer, cloud] = [await meshLayer(cutBox), await pointLayer(cutBox)];
  const told = document.documentElement.dataset;
  told.readMs = Math.round(performance.now());
  picture.layers.add(layer.mesh, cloud.points);
  const { min: low, max: high } = layer.mesh.geometry.boundingBox;
  const across = low.distanceTo(high);
  camera.far = across * 6 + 10;
  layer.mesh.visible = true;
  cloud.points.visible = false;

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const repaint = () => {
    paint(dark.matches ? "dark" : "light", pictureLook, layer.uniforms, cloud.uniforms);
    changed();
  };
  dark.addEventListener("change", repaint);
  repaint();

  for (const [id, object] of [["layer-mesh", layer.mesh], ["layer-points", cloud.points]]) {
    byId(id).checked = object.visible;
    byId(id).addEventListener("change", (event) => {
      object.visible = event.target.checked;
      changed();
    });
  }
  const colourBy = (index) => {
    layer.colourBy(layer.ways[index]);
    showLegend(layer.ways[index].legend);
    coloured = index;
    wanted = layer.ways[index].name;
    changed();
  };
  const wayOf = (name) => layer.ways.findIndex((way) => way.name === name);
  const first = Math.max(0, wayOf(layout.colour || "photo"));
  let coloured = first, wanted = ""; // wanted: what all pages beside each other are to show, if they have it
  const showColour = choices(byId("colours"), "colour", layer.ways.map((way) => way.label), first, colourBy);
  colourBy(first);
  wanted = layout.colour || wanted;

  const cuts = new Cuts(low, high, layer.uniforms, changed);
  const views = storeyViews();
  const setStorey = (index) => {
    cuts.between("z", views[index].low, views[index].high);
    storey = index;
  };
  let storey = views.length > 1 ? 1 : 0;
  const showStorey = choices(byId("storeys"), "storey", views.map((view) => view.label), storey, setStorey);
  cuts.byHand = (axis) => axis === "z" && showStorey((storey = -1));
  setStorey(storey);

  const ruler = new Ruler(byId("overlay"), camera, (text) => (byId("measured").textContent = text));
  picture.afterDraw = () => ruler.draw();

  const orbit = new Orbit(camera, canvas, changed);
  const finder = new FloorFinder(picture, layer.mesh, layer.uniforms);
  const walk = new Walk(camera, canvas, (place) => finder.floorBelow(place), changed);
  const home = () => {
    if (walk.active) setMode("orbit");
    const wide = stage.clientWidth > 760;
    const insets = { right: wide && !byId("panel").hidden ? byId("panel").offsetWidth + 16 : 0, top: 56, bottom: 24 };
    const heading = layout.heading + HEADING_OFF_WALLS;
    const places = cuts.left(layer.mesh.geometry.attributes.position.array);
    orbit.frame(places, heading, ELEVATION, insets, stage.clientWidth, stage.clientHeight);
  };
  let left = null; // the view before a walk
  const setMode = (mode) => {
    if ((mode === "walk") === walk.active) return;
    byId("mode-orbit").setAttribute("aria-pressed", mode === "orbit");
    byId("mode-walk").setAttribute("aria-pressed", mode === "walk");
    document.body.dataset.mode = mode;
    if (mode === "orbit") {
      walk.stop();
      cuts.values = left.cuts;
      showStorey((storey = left.storey));
      camera.position.copy(left.position);
      camera.fov = 38;
      orbit.controls.target.copy(left.target);
      orbit.controls.update();
      orbit.start();
    } else {
      left = { cuts: cuts.values, storey, position: camera.position.clone(), target: orbit.controls.target.clone() };
      orbit.stop();
      const ahead = camera.getWorldDirection(new Vector3());
      const floors = [views[storey]?.floor ?? views[0].floor, ...layout.storeys.map((each) => each.floor)];
      const place = finder.standingPlace(orbit.controls.target, [...new Set(floors)], low, high);
      cuts.whole();
      showStorey((storey = 0));
      camera.fov = 64;
      walk.start(place, finder.openHeading(place) ?? Math.atan2(ahead.y, ahead.x));
    }
    resized();
    changed();
  };
  byId("mode-orbit").addEventListener("click", () => setMode("orbit"));
  byId("mode-walk").addEventListener("click", () => setMode("walk"));
  byId("home").addEventListener("click", home);

  const setRuler = (on) => {
    byId("ruler").setAttribute("aria-pressed", on);
    document.body.dataset.ruler = on;
    byId("measured").textContent = on ? "Choose two points on the surface." : "";
  };
  byId("ruler").addEventListener("click", () => setRuler(document.body.dataset.ruler !== "true"));
  byId("clear").addEventListener("click", () => ruler.clear());
  let pressed = null;
  canvas.addEventListener("pointerdown", (event) => (pressed = [event.clientX, event.clientY]));
  canvas.addEventListener("pointerup", (event) => {
    const still = pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) < 6;
    if (!still || document.body.dataset.ruler !== "true") return;
    const box = canvas.getBoundingClientRect();
    const place = picture.placeAt(event.clientX - box.left, event.clientY - box.top, box.width, box.height);
    if (place) ruler.add(place);
  });

  byId("about").addEventListener("click", () => byId("dialog").showModal());
  byId("fold").addEventListener("click", () => {
    const hidden = (byId("panel").hidden = !byId("panel").hidden);
    byId("fold").setAttribute("aria-expanded", !hidden);
  });

  picture.resized = () => {
    cloud.uniforms.pixelsPerRadian.value = picture.size.y / (2 * Math.tan((camera.fov * Math.PI) / 360));
  };
  const resized = () => picture.resize(stage.clientWidth, stage.clientHeight);
  new ResizeObserver(resized).observe(stage);
  resized();
  if (stage.clientWidth <= 760) byId("fold").click();
  home();
  keys({
    held: (key, seconds) => (walk.active ? walk : orbit).key(key, seconds),
    KeyH: home, KeyO: () => setMode("orbit"), KeyF: () => setMode("walk"), KeyR: () => byId("ruler").click(),
    KeyM: () => byId("layer-mesh").click(), KeyP: () => byId("layer-points").click(),
    Escape: () => (walk.active ? setMode("orbit") : (setRuler(false), ruler.clear())),
  });
  for (const button of byId("steps").querySelectorAll("button")) hold(button, (seconds) => walk.key({ [button.value]: 1 }, seconds));
  const middle = new Vector3(...layout.middle);
  const tell = together({
    state: () => {
      const away = walk.active ? AHEAD_M : camera.position.distanceTo(orbit.controls.target);
      const target = camera.getWorldDirection(new Vector3()).multiplyScalar(away).add(camera.position);
      return {
        position: camera.position.clone().add(middle).toArray(), target: target.add(middle).toArray(), fov: camera.fov,
        cuts: cuts.ends(layout.middle), colour: wanted, mesh: layer.mesh.visible, points: cloud.points.visible,
      };
    },
    show: (view) => {
      if (walk.active) setMode("orbit");
      camera.fov = view.fov;
      resized();
      camera.position.fromArray(view.position).sub(middle);
      orbit.controls.target.fromArray(view.target).sub(middle);
      orbit.controls.update();
      if (JSON.stringify(cuts.ends(layout.middle)) !== JSON.stringify(view.cuts)) {
        cuts.setEnds(view.cuts, layout.middle);
        showStorey((storey = -1));
      }
      const index = wayOf(view.colour);
      if (index >= 0 && index !== coloured) {
        colourBy(index);
        showColour(index);
      }
      wanted = view.colour;
      for (const [id, object, visible] of [["layer-mesh", layer.mesh, view.mesh], ["layer-points", cloud.points, view.points]])
        byId(id).checked = object.visible = visible;
      changed();
    },
  });
  picture.afterDraw = () => {
    ruler.draw();
    tell();
  };
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  told.openedMs = Math.round(performance.now());
  told.state = "ready";
  window.shown = { picture, camera, ruler, orbit, walk, cuts }; // for whoever looks at the page from its console
}

// What the storeys' choices show: the whole, all below the top storey's ceiling, and each storey.
function storeyViews() {
  const storeys = layout.storeys, top = storeys.at(-1);
  const views = [{ label: "Whole", low: -Infinity, high: Infinity, floor: top.floor }];
  if (!top.opens) return views;
  views.push({ label: "Open", low: -Infinity, high: top.cut, floor: top.floor });
  if (storeys.length > 1)
    for (const [number, { floor, bottom, cut }] of storeys.entries())
      views.push({ label: `Storey ${number + 1}`, low: number ? bottom : -Infinity, high: cut, floor });
  return views;
}

// Keys that are held move; others act once.  Keys for a field or a dialog are left to it.
function keys(actions) {
  const held = {};
  let last = null;
  const tick = (now) => {
    if (Object.keys(held).length === 0) return (last = null);
    if (last !== null) actions.held(held, Math.min(0.1, (now - last) / 1000));
    last = now;
    requestAnimationFrame(tick);
  };
  window.addEventListener("keydown", (event) => {
    const type = event.target.type, arrows = event.code.startsWith("Arrow");
    if (event.ctrlKey || event.metaKey || event.altKey || byId("dialog").open) return;
    if (arrows && (type === "range" || type === "radio")) return;
    if (KEYS[event.code]) {
      if (arrows) event.preventDefault();
      const idle = Object.keys(held).length === 0;
      held[KEYS[event.code]] = 1;
      if (idle) requestAnimationFrame(tick);
    } else if (!event.repeat) actions[event.code]?.();
  });
  window.addEventListener("keyup", (event) => delete held[KEYS[event.code]]);
  window.addEventListener("blur", () => Object.keys(held).forEach((key) => delete held[key]));
}

function hold(button, action) {
  let last = null;
  const tick = (now) => {
    if (last === null) return;
    action(Math.min(0.1, (now - last) / 1000));
    last = now;
    requestAnimationFrame(tick);
  };
  button.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    last = performance.now();
    requestAnimationFrame(tick);
  });
  for (const end of ["pointerup", "pointerleave", "pointercancel"]) button.addEventListener(end, () => (last = null));
}

open().catch((error) => {
  document.documentElement.dataset.state = "failed";
  const place = byId("failure");
  place.hidden = false;
  place.textContent = `The model cannot be shown here: ${error.message}. A current browser with WebGL 2 shows it.`;
  console.error(error);
}).finally(() => byId("waiting").remove());
