// Pictures of the same ground side by side: zooming, moving and pointing in one does the same in all.
// data: {ground, views: [{src, title, note, legend: {ramp, marks}}], width, height (pixels of the tile)}.
// Text from outside reaches the page through textContent alone.
export default function ({data, parentElement}) {
  const root = parentElement.querySelector(".views");
  const same = JSON.stringify([data.ground, data.views.map(item => item.title)]);
  if (root.dataset.shown === same) {
    // Another state of the same ground: the pictures change in place and the zoom stays.
    const images = root.querySelectorAll("img"), notes = root.querySelectorAll(".note");
    data.views.forEach((item, n) => {
      if (images[n].getAttribute("src") !== item.src) images[n].src = item.src;
      notes[n].textContent = " · " + item.note;
    });
    return;
  }
  root.dataset.shown = same;
  root.replaceChildren();
  const view = {scale: 1, x: 0, y: 0}, frames = [];

  function apply() {
    const room = 1 - view.scale;
    view.x = Math.min(0, Math.max(room, view.x));
    view.y = Math.min(0, Math.max(room, view.y));
    for (const {image} of frames) {
      image.style.transform = `translate(${view.x * 100}%, ${view.y * 100}%) scale(${view.scale})`;
      image.style.imageRendering = view.scale > 2.5 ? "pixelated" : "auto";
    }
  }
  function zoom(factor, at) {
    const scale = Math.min(24, Math.max(1, view.scale * factor)), change = scale / view.scale;
    view.x = at.x - (at.x - view.x) * change;
    view.y = at.y - (at.y - view.y) * change;
    view.scale = scale;
    apply();
  }
  function point(at) {
    for (const {cross, readout} of frames) {
      cross.hidden = !at;
      readout.textContent = "";
      if (!at) continue;
      cross.style.left = at.x * 100 + "%";
      cross.style.top = at.y * 100 + "%";
    }
    if (!at) return;
    const column = Math.floor((at.x - view.x) / view.scale * data.width);
    const row = Math.floor((at.y - view.y) / view.scale * data.height);
    frames[0].readout.textContent = `column ${column}, row ${row}`;
  }
  function place(event, box) {
    const r = box.getBoundingClientRect();
    return {x: (event.clientX - r.left) / r.width, y: (event.clientY - r.top) / r.height};
  }
  function listen(box) {
    let held = null;
    box.addEventListener("wheel", event => {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 400), place(event, box));
    }, {passive: false});
    box.addEventListener("pointerdown", event => { held = place(event, box); box.setPointerCapture(event.pointerId); });
    box.addEventListener("pointerup", () => { held = null; });
    box.addEventListener("pointermove", event => {
      const at = place(event, box);
      if (held) { view.x += at.x - held.x; view.y += at.y - held.y; held = at; apply(); }
      point(at);
    });
    box.addEventListener("pointerleave", () => point(null));
    box.addEventListener("dblclick", event => zoom(view.scale > 6 ? 0.01 : 2.5, place(event, box)));
    box.addEventListener("keydown", event => {
      const middle = {x: 0.5, y: 0.5}, step = 0.1;
      const act = {
        "+": () => zoom(1.5, middle), "-": () => zoom(1 / 1.5, middle), "0": () => zoom(0.001, middle),
        ArrowLeft: () => { view.x += step; apply(); }, ArrowRight: () => { view.x -= step; apply(); },
        ArrowUp: () => { view.y += step; apply(); }, ArrowDown: () => { view.y -= step; apply(); },
      }[event.key];
      if (act) { event.preventDefault(); act(); }
    });
  }
  function make(tag, parent, name, text) {
    const element = document.createElement(tag);
    element.className = name;
    if (text) element.textContent = text;
    parent.appendChild(element);
    return element;
  }
  for (const item of data.views) {
    const figure = make("figure", root, "view");
    const box = make("div", figure, "frame");
    box.style.aspectRatio = data.width + " / " + data.height;
    box.tabIndex = 0;
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", item.title + ". Plus, minus and the arrow keys zoom and pan all images.");
    const image = make("img", box, "");
    image.alt = ""; image.draggable = false;
    image.onload = () => box.classList.add("loaded");
    image.onerror = () => fetch(item.src).then(answer => answer.text()).then(text => { trouble.textContent = text; });
    image.src = item.src;
    const trouble = make("div", box, "trouble");
    const cross = make("div", box, "cross");
    cross.hidden = true;
    const readout = make("div", box, "readout");
    if (item.legend) {
      make("div", figure, "ramp").style.background = `linear-gradient(to right, ${item.legend.ramp})`;
      const marks = make("div", figure, "marks");
      for (const [at, text] of item.legend.marks) make("span", marks, "", text).style.left = at + "%";
    }
    const caption = make("figcaption", figure, "");
    make("b", caption, "", item.title);
    make("span", caption, "note", " · " + item.note);
    frames.push({image, cross, readout});
    listen(box);
  }
}
