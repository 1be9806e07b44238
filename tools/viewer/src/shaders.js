// Two passes: what is seen (its shape and its colour), then light, edges and corners over the whole picture.

const CUT = /* glsl */ `
uniform vec3 cutLow, cutHigh;
bool isCut(vec3 place) { return any(lessThan(place, cutLow)) || any(greaterThan(place, cutHigh)); }
`;

const OUTPUTS = /* glsl */ `
layout(location = 0) out vec4 outShape;  // normal towards the camera (zero: of points), distance from the camera's plane
layout(location = 1) out vec4 outColour;  // a: how much of the light's shading it takes
`;

const PALETTE = /* glsl */ `
uniform vec3 palette[6];
vec3 paletteColour(float share) {
  float place = clamp(share, 0.0, 1.0) * 5.0;
  int below = min(int(place), 4);
  return mix(palette[below], palette[below + 1], place - float(below));
}
`;

export const MESH_VERTEX = /* glsl */ `
in float value;
in vec3 photo;
out vec3 vPlace, vView, vPhoto;
out float vValue;
void main() {
  vPlace = position;
  vView = (viewMatrix * vec4(position, 1.0)).xyz;
  vPhoto = photo;
  vValue = value;
  gl_Position = projectionMatrix * vec4(vView, 1.0);
}
`;

// A face seen from behind is the inside of a wall.  Where a cut opened it, it is drawn as the wall's section: flat, at the
// place where the line of sight enters what is left.
export const MESH_FRAGMENT = /* glsl */ `
precision highp float;
${CUT}${OUTPUTS}${PALETTE}
uniform vec3 wholeLow, wholeHigh, plain, section, guessed;
uniform bool solid;
uniform vec2 range;
uniform int mode;
in vec3 vPlace, vView, vPhoto;
in float vValue;

vec3 ownColour() {
  if (mode == 1) return vPhoto;
  if (mode == 2) return paletteColour((vPlace.z - range.x) / (range.y - range.x));
  if (mode == 3) return paletteColour((vValue - range.x) / (range.y - range.x));
  if (mode == 4) return mix(guessed, plain, smoothstep(0.35, 0.65, vValue));
  return plain;
}

void main() {
  vec3 normal = normalize(cross(dFdx(vView), dFdy(vView)));
  if (isCut(vPlace)) discard;
  if (gl_FrontFacing || !solid) {
    outShape = vec4(normal, -vView.z);
    outColour = vec4(ownColour(), mode == 1 ? 0.55 : 1.0);
    return;
  }
  vec3 along = vPlace - cameraPosition;
  vec3 near = mix(cutHigh, cutLow, step(0.0, along));
  vec3 enters = (near - cameraPosition) / along;
  int axis = enters.x > enters.y ? (enters.x > enters.z ? 0 : 2) : (enters.y > enters.z ? 1 : 2);
  bool opened = along[axis] > 0.0 ? cutLow[axis] > wholeLow[axis] : cutHigh[axis] < wholeHigh[axis];
  if (opened && enters[axis] > 0.0 && enters[axis] < 1.0) {
    vec3 facing = vec3(0.0);
    facing[axis] = -sign(along[axis]);
    outShape = vec4(mat3(viewMatrix) * facing, -vView.z * enters[axis]);
  } else {
    outShape = vec4(normal, -vView.z);
  }
  outColour = vec4(section, 0.0);
}
`;

export const POINT_VERTEX = /* glsl */ `
in vec3 photo;
uniform float pixelsPerRadian, size;
out vec3 vPlace, vPhoto;
out float vDepth;
void main() {
  vPlace = position;
  vPhoto = photo;
  vec4 view = viewMatrix * vec4(position, 1.0);
  vDepth = -view.z;
  gl_Position = projectionMatrix * view;
  gl_PointSize = clamp(size * pixelsPerRadian / vDepth, 1.2, 9.0);
}
`;

export const POINT_FRAGMENT = /* glsl */ `
precision highp float;
${CUT}${OUTPUTS}
uniform vec3 plain;
uniform bool hasPhoto;
in vec3 vPlace, vPhoto;
in float vDepth;
void main() {
  if (isCut(vPlace) || length(gl_PointCoord - 0.5) > 0.5) discard;
  outShape = vec4(0.0, 0.0, 0.0, vDepth);
  outColour = vec4(hasPhoto ? vPhoto : plain, 0.0);
}
`;

export const SCREEN_VERTEX = /* glsl */ `
out vec2 vAt;
void main() {
  vAt = position.xy * 0.5 + 0.5;
  gl_Position = vec4(position.xy, 0.0, 1.0);
}
`;

export const LIGHT_FRAGMENT = /* glsl */ `
precision highp float;
uniform sampler2D shapes, colours;
uniform vec3 backTop, backBottom, ink;
uniform vec2 tangents;  // of half the angles of view
uniform mat3 toWorld;
uniform float radius, turn, edgeStrength, pixel;
uniform vec3 keyLight;
in vec2 vAt;
out vec4 outLit;
const int SAMPLES = 10;

vec3 viewPlace(vec2 at, float depth) { return vec3((at * 2.0 - 1.0) * tangents, -1.0) * depth; }

float noise(vec2 at) { return fract(52.9829189 * fract(dot(at, vec2(0.06711056, 0.00583715)))); }

// Ambient occlusion: how much of the half-space above a place is free of surface within the radius.
float openness(vec3 place, vec3 normal, float depth) {
  float angle = 6.2831853 * (noise(gl_FragCoord.xy) + turn), hidden = 0.0;
  vec2 reach = min(radius / depth, 0.35) / (2.0 * tangents);
  for (int n = 0; n < SAMPLES; n++) {
    float share = (float(n) + fract(turn * 7.0 + 0.5)) / float(SAMPLES);
    angle += 2.3999632;
    vec2 at = vAt + reach * share * vec2(cos(angle), sin(angle));
    float other = textureLod(shapes, at, 0.0).w;
    if (other <= 0.0) continue;
    vec3 away = viewPlace(at, other) - place;
    float distance = length(away) + 1e-4;
    hidden += max(0.0, dot(away, normal) / distance - 0.08) * (1.0 - smoothstep(0.6 * radius, 1.3 * radius, distance));
  }
  return clamp(1.0 - 1.9 * hidden / float(SAMPLES), 0.0, 1.0);
}

// Edges: where the surface turns, and where it stands in front of another one.
float edge(vec4 own) {
  vec2 size = vec2(textureSize(shapes, 0));
  vec2 steps[2] = vec2[](vec2(pixel, 0.0) / size, vec2(0.0, pixel) / size);
  float found = 0.0;
  float facing = max(0.12, dot(own.xyz, own.xyz) > 0.0 ? abs(own.z) : 1.0);
  for (int n = 0; n < 2; n++) {
    vec4 before = textureLod(shapes, vAt - steps[n], 0.0), after = textureLod(shapes, vAt + steps[n], 0.0);
    float bend = abs(before.w + after.w - 2.0 * own.w) / own.w;
    if (before.w <= 0.0 || after.w <= 0.0) bend = 1.0;
    found = max(found, smoothstep(0.006, 0.03, bend * facing));
    if (dot(own.xyz, own.xyz) > 0.0) {
      float turned = 0.0;
      if (dot(before.xyz, before.xyz) > 0.0) turned = max(turned, 1.0 - dot(before.xyz, own.xyz));
      if (dot(after.xyz, after.xyz) > 0.0) turned = max(turned, 1.0 - dot(after.xyz, own.xyz));
      found = max(found, 0.8 * smoothstep(0.25, 0.9, turned));
    }
  }
  return found;
}

void main() {
  vec4 shape = textureLod(shapes, vAt, 0.0), colour = textureLod(colours, vAt, 0.0);
  if (shape.w <= 0.0) {
    outLit = vec4(mix(backBottom, backTop, vAt.y), 1.0);
    return;
  }
  vec3 lit = colour.rgb;
  float lines = edge(shape) * edgeStrength;
  if (dot(shape.xyz, shape.xyz) > 0.0) {
    vec3 world = toWorld * shape.xyz;
    float key = 0.5 + 0.5 * dot(world, keyLight), sky = 0.5 + 0.5 * world.z;
    float shade = mix(0.66, 1.03, key * 0.55 + sky * 0.45);
    float open = openness(viewPlace(vAt, shape.w), shape.xyz, shape.w);
    lit *= mix(1.0, shade * mix(0.5, 1.0, open), colour.a);
  } else {
    lines *= 0.35;
  }
  outLit = vec4(mix(lit, ink, lines), 1.0);
}
`;

export const COPY_FRAGMENT = /* glsl */ `
precision highp float;
uniform sampler2D picture;
uniform float weight;
in vec2 vAt;
out vec4 outCopy;
void main() { outCopy = vec4(textureLod(picture, vAt, 0.0).rgb, weight); }
`;
