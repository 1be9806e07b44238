// From the text in the page to typed arrays: base64, deflate, byte planes, differences.

const header = JSON.parse(document.getElementById("page-data").textContent);

export const texts = header.texts;
export const layout = header.layout;

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

async function inflated(id) {
  const element = document.getElementById(id);
  const packed = bytesOf(element.textContent);
  element.remove(); // its text would stay in memory
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The integers of an array (rows x columns), as report/page_arrays.py packs them: each column is a run of byte planes, the
// lowest byte first, of the differences from row to row with their sign in the lowest bit, or of the values themselves.
async function integers(name) {
  const { rows, columns, planes, differences } = header.arrays[name];
  const bytes = await inflated(`array-${name}`);
  const values = new Int32Array(rows * columns);
  for (let column = 0; column < columns; column++) {
    for (let plane = 0; plane < planes; plane++) {
      const start = (column * planes + plane) * rows, shift = 8 * plane;
      for (let row = 0, at = column; row < rows; row++, at += columns) values[at] |= bytes[start + row] << shift;
    }
    let sum = 0;
    if (differences)
      for (let at = column; at < values.length; at += columns) values[at] = sum += (values[at] >>> 1) ^ -(values[at] & 1);
  }
  return values;
}

// Metres from the middle of what is shown.
export async function positions(name) {
  const whole = await integers(name);
  const { step, origin } = header.arrays[name];
  const places = new Float32Array(whole.length);
  for (let axis = 0; axis < 3; axis++)
    for (let at = axis; at < whole.length; at += 3) places[at] = whole[at] * step + origin[axis];
  return places;
}

// Vertices are numbered by their first use, so that 0 is a new one and n the one named n before it.
export async function faces() {
  const back = await integers("faces");
  const found = new Uint32Array(back.length);
  let next = 0;
  for (let corner = 0; corner < back.length; corner++) {
    found[corner] = next - back[corner];
    if (back[corner] === 0) next++;
  }
  return found;
}

export const has = (name) => name in header.arrays;

export async function colours(name) {
  return has(name) ? new Uint8Array(await integers(name)) : null;
}

export async function numbers(name) {
  if (!has(name)) return null;
  const { step } = header.arrays[name], values = new Float32Array(await integers(name));
  for (let at = 0; at < values.length; at++) values[at] *= step;
  return values;
}
