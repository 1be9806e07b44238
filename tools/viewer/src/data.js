// From the text in the page to typed arrays: base64, deflate, byte planes, differences.

const header = JSON.parse(document.getElementById("page-data").textContent);

export const texts = header.texts;
export const layout = header.layout;

async function inflated(id) {
  const element = document.getElementById(id);
  const packed = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
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
    let previous = 0;
    const start = column * planes * rows;
    for (let row = 0; row < rows; row++) {
      let value = 0;
      for (let plane = 0; plane < planes; plane++) value |= bytes[start + plane * rows + row] << (8 * plane);
      if (differences) value = previous += (value >>> 1) ^ -(value & 1);
      values[row * columns + column] = value;
    }
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
  return has(name) ? Uint8Array.from(await integers(name)) : null;
}

export async function numbers(name) {
  if (!has(name)) return null;
  const step = header.arrays[name].step;
  return Float32Array.from(await integers(name), (value) => value * step);
}
