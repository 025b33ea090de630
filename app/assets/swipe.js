// Two panes and a handle between them: what lies in "first" shows to its left, what lies in "second" to its right.
// The handle is a slider to whoever uses a keyboard or a screen reader.
"use strict";
window.gpSwipe = function (map) {
  const panes = ["first", "second"].map((name, n) => {
    const pane = map.createPane(name);
    pane.style.zIndex = 430 + n;
    return pane;
  });
  const handle = L.DomUtil.create("div", "gp-swipe", map.getContainer());
  handle.hidden = true; handle.tabIndex = 0;
  handle.title = "Drag, or use the arrow keys: run A on the left, run B on the right";
  for (const [name, value] of Object.entries({role: "slider", "aria-label": "Swipe to compare",
    "aria-orientation": "horizontal", "aria-valuemin": 0, "aria-valuemax": 100})) handle.setAttribute(name, value);
  L.DomUtil.create("span", "gp-grip", handle).textContent = "◂ ▸";
  const labels = ["gp-first", "gp-second"].map(name => L.DomUtil.create("span", "gp-side " + name, handle));
  let at = 0.5, on = false;

  function clip() {
    if (!on) return;
    const size = map.getSize(), top = map.containerPointToLayerPoint([0, 0]), end = map.containerPointToLayerPoint(size);
    const middle = top.x + size.x * at;
    panes[0].style.clip = `rect(${top.y}px,${middle}px,${end.y}px,${top.x}px)`;
    panes[1].style.clip = `rect(${top.y}px,${end.x}px,${end.y}px,${middle}px)`;
    handle.style.left = size.x * at + "px";
    handle.setAttribute("aria-valuenow", Math.round(at * 100));
    handle.setAttribute("aria-valuetext", Math.round(at * 100) + " % of the map show run A");
  }
  function move(share) { at = Math.min(Math.max(share, 0.02), 0.98); clip(); }
  L.DomEvent.disableClickPropagation(handle);
  handle.addEventListener("pointerdown", event => {
    handle.setPointerCapture(event.pointerId); map.dragging.disable(); event.preventDefault(); handle.focus();
  });
  handle.addEventListener("pointermove", event => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const box = map.getContainer().getBoundingClientRect();
    move((event.clientX - box.left) / box.width);
  });
  for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => map.dragging.enable());
  handle.addEventListener("keydown", event => {
    const step = {ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1}[event.key];
    if (step) { move(at + step); event.preventDefault(); event.stopPropagation(); }
  });
  map.on("move zoomend resize viewreset", clip);
  return {
    // true, or the names of the two runs, which are shown beside the handle
    show(wanted) {
      labels.forEach((label, n) => { label.textContent = (Array.isArray(wanted) && wanted[n]) || ""; });
      on = Boolean(wanted); handle.hidden = !on;
      if (!on) for (const pane of panes) pane.style.clip = "";
      clip();
    },
  };
};
