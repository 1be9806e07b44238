// The words and switches beside the picture.  Every text goes in as text, never as HTML.

import { PALETTE } from "./layers.js";

export const byId = (id) => document.getElementById(id);

function made(name, text, parent, attributes = {}) {
  const element = document.createElement(name);
  if (text !== null) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

// A row of choices of which one holds; calls chosen(index); returns what shows another choice.
export function choices(parent, name, labels, first, chosen) {
  const inputs = labels.map((label, index) => {
    const around = made("label", null, parent);
    const input = made("input", null, around, { type: "radio", name, value: index });
    made("span", label, around);
    input.checked = index === first;
    input.addEventListener("change", () => chosen(index));
    return input;
  });
  return (index) => inputs.forEach((input, at) => (input.checked = at === index));
}

export function showLegend(legend) {
  const place = byId("legend");
  place.replaceChildren();
  place.hidden = !legend;
  if (!legend) return;
  made("p", legend.title, place);
  if (legend.two) {
    for (const [number, word] of legend.two.entries()) made("span", word, place, { class: `swatch swatch-${number}` });
    return;
  }
  made("div", null, place, { class: "ramp" }).style.background = `linear-gradient(to right, ${PALETTE.join(", ")})`;
  const ends = made("div", null, place, { class: "ends" });
  made("span", legend.low, ends);
  made("span", legend.high, ends);
}

export function showTexts(texts) {
  byId("title").textContent = texts.title;
  byId("subtitle").textContent = texts.subtitle;
  for (const note of texts.notes) made("p", note, byId("notes"));
  byId("notes").hidden = texts.notes.length === 0;
  for (const { heading, rows } of texts.sections) {
    made("h3", heading, byId("report"));
    const table = made("table", null, byId("report"));
    made("caption", heading, table, { class: "unseen" });
    const body = made("tbody", null, table);
    for (const [label, value, reason] of rows) {
      const row = made("tr", null, body);
      made("th", label, row, { scope: "row" });
      const cell = made("td", value, row);
      if (reason) made("p", reason, cell);
    }
  }
}
