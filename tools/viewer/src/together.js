// In a frame beside others: tells the page around it where the camera stands, what is cut, what is shown and in which colours,
// and does what the others did.  Lengths are metres in the frame of the scan, so that meshes of other sizes agree.

const isNumbers = (values, count) => Array.isArray(values) && values.length === count && values.every(Number.isFinite);
const isEnd = (value) => value === null || Number.isFinite(value);

function isView(view) {
  return (
    view !== null && typeof view === "object" && isNumbers(view.position, 3) && isNumbers(view.target, 3) &&
    Number.isFinite(view.fov) && view.fov > 1 && view.fov < 120 && typeof view.colour === "string" &&
    typeof view.mesh === "boolean" && typeof view.points === "boolean" &&
    Array.isArray(view.cuts) && view.cuts.length === 3 &&
    view.cuts.every((ends) => Array.isArray(ends) && ends.length === 2 && ends.every(isEnd))
  );
}

// state() gives a view, show(view) takes one over.  Returns what is to be called after each picture.
export function together({ state, show }) {
  if (window.parent === window) return () => {};
  let known = JSON.stringify(state());
  window.addEventListener("message", ({ source, data }) => {
    if (source !== window.parent || !isView(data?.view)) return;
    show(data.view);
    known = JSON.stringify(state()); // what came from others is not told again
  });
  window.parent.postMessage({ ready: true, view: state() }, "*");
  return () => {
    const view = state(), text = JSON.stringify(view);
    if (text === known) return;
    known = text;
    window.parent.postMessage({ view }, "*");
  };
}
