// The mesh and the points, as three.js draws them, and what colours the mesh.

import { BufferAttribute, BufferGeometry, DoubleSide, GLSL3, Mesh, NoBlending, Points, ShaderMaterial, Vector2, Vector3 } from "three";
import * as data from "./data.js";
import { MESH_FRAGMENT, MESH_VERTEX, POINT_FRAGMENT, POINT_VERTEX } from "./shaders.js";

export const PALETTE = ["#2b3a8c", "#2a7fb8", "#3fb59b", "#a5d56a", "#f6d743", "#e8743b"];
const rgb = (text) => new Vector3(...[1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16) / 255));

function material(vertexShader, fragmentShader, uniforms) {
  return new ShaderMaterial({
    vertexShader, fragmentShader, uniforms, glslVersion: GLSL3, side: DoubleSide, blending: NoBlending,
  });
}

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value * 0.999);
}

function quantile(values, share) {
  const step = Math.ceil(values.length / 20000);
  const sorted = values.filter((_, at) => at % step === 0).sort();
  return sorted[Math.floor(share * (sorted.length - 1))];
}

const metres = (value) => `${value.toFixed(1)} m`;
const short = (millimetres) => (millimetres >= 1000 ? metres(millimetres / 1000) : `${+millimetres.toPrecision(3)} mm`);

export async function meshLayer(cuts) {
  const geometry = new BufferGeometry();
  const places = await data.positions("vertices");
  geometry.setAttribute("position", new BufferAttribute(places, 3));
  geometry.setIndex(new BufferAttribute(await data.faces(), 1));
  geometry.computeBoundingBox();
  const count = places.length / 3;
  const photo = await data.colours("photo");
  geometry.setAttribute("photo", new BufferAttribute(photo ?? new Uint8Array(count * 3), 3, true));
  const none = new BufferAttribute(new Float32Array(count), 1);
  const { min, max } = geometry.boundingBox;
  const base = data.layout.base_z;
  const ways = [{ name: "plain", label: "Plain", mode: 0 }];
  if (photo) ways.push({ name: "photo", label: "Photo", mode: 1 });
  ways.push({
    name: "height", label: "Height", mode: 2, range: [min.z, max.z],
    legend: { title: "Height above the lowest floor", low: metres(min.z - base), high: metres(max.z - base) },
  });
  for (const [name, label, title] of [
    ["distance", "Distance to points", "Distance to the nearest point of the scan"],
    ["expected_error", "Expected error", "Expected error"],
    ["error", "Error", data.layout.error_name],
  ]) {
    const values = await data.numbers(name);
    if (!values) continue;
    const high = (name === "error" && data.layout.error_high) || nice(Math.max(5 * quantile(values, 0.25), 5)); // so that what fits well is told apart as well
    const legend = { title, low: "0", high: `${short(high)} or more` };
    ways.push({ name, label, mode: 3, range: [0, high], legend, values: new BufferAttribute(values, 1) });
  }
  const observed = await data.numbers("observed");
  if (observed) {
    const legend = { title: "Seen by the scan, or guessed", two: ["seen", "guessed"] };
    ways.push({ name: "observed", label: "Seen or guessed", mode: 4, legend, values: new BufferAttribute(observed, 1) });
  }
  const uniforms = {
    ...cuts,
    palette: { value: PALETTE.map(rgb) }, range: { value: new Vector2(0, 1) }, mode: { value: 0 },
    plain: { value: new Vector3() }, section: { value: new Vector3() }, guessed: { value: rgb("#e0803a") },
    solid: { value: data.layout.solid },
    wholeLow: { value: new Vector3() }, wholeHigh: { value: new Vector3() },
  };
  const mesh = new Mesh(geometry, material(MESH_VERTEX, MESH_FRAGMENT, uniforms));
  mesh.frustumCulled = false;
  const colourBy = (way) => {
    geometry.setAttribute("value", way.values ?? none);
    uniforms.mode.value = way.mode;
    if (way.range) uniforms.range.value.set(...way.range);
  };
  colourBy(ways[0]);
  return { mesh, ways, colourBy, uniforms };
}

export async function pointLayer(cuts) {
  const geometry = new BufferGeometry();
  const places = await data.positions("points");
  geometry.setAttribute("position", new BufferAttribute(places, 3));
  const photo = await data.colours("point_photo");
  geometry.setAttribute("photo", new BufferAttribute(photo ?? new Uint8Array(places.length), 3, true));
  const uniforms = {
    ...cuts, hasPhoto: { value: photo !== null }, plain: { value: new Vector3() }, pixelsPerRadian: { value: 1 },
    size: { value: data.layout.point_size_m },
  };
  const points = new Points(geometry, material(POINT_VERTEX, POINT_FRAGMENT, uniforms));
  points.frustumCulled = false;
  return { points, uniforms };
}

const THEMES = {
  light: {
    plain: "#e9e6df", section: "#3a4250", points: "#2f6fd0", ink: "#171b22", backTop: "#ffffff", backBottom: "#e9edf1",
    edgeStrength: 0.75,
  },
  dark: {
    plain: "#b9bcc0", section: "#e2a44a", points: "#6aa8ff", ink: "#0a0c0f", backTop: "#1b2027", backBottom: "#101317",
    edgeStrength: 0.85,
  },
};

export const look = () => ({
  backTop: { value: new Vector3() }, backBottom: { value: new Vector3() }, ink: { value: new Vector3() },
  edgeStrength: { value: 1 },
});

export function paint(theme, picture, meshUniforms, pointUniforms) {
  const chosen = THEMES[theme];
  for (const name of ["backTop", "backBottom", "ink"]) picture[name].value.copy(rgb(chosen[name]));
  picture.edgeStrength.value = chosen.edgeStrength;
  meshUniforms.plain.value.copy(rgb(chosen.plain));
  meshUniforms.section.value.copy(rgb(chosen.section));
  pointUniforms.plain.value.copy(rgb(chosen.points));
}
