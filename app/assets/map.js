// The map inside its frame: a panel of layers with opacities, the grid of tiles, and gpShow, which puts a scene on the map.
// rows: key, name, swatch (CSS), on, opacity, legend {ramp, marks, text}; `elsewhere` marks the one whose pictures come
// from the internet, which is never on by itself. A scene: layers, focus [w, s, e, n], grid, selected tile, split.
// Text from outside reaches the page through textContent alone.
"use strict";
// From the internet, and only when it is asked for: nothing else here leaves the machine.
const STREET = {key: "street", kind: "tiles", z: 0, pane: "base", max_zoom: 19,
  url: "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
  attribution: '© <a href="https://www.openstreetmap.org/copyright" target="_blank" rel="noopener">OpenStreetMap</a> contributors'};
const TRUTH = "#F0E442";
const NO_STREETS = "OpenStreetMap cannot be reached from this browser. All other layers work without the internet.";
window.gpStart = function (map, rows, colours, picks) {
  const FAINT = 0.9, state = {}, shown = {}, asked = {}, leaving = {}, names = {};
  let wanted = {street: STREET}, focus = null, turn = null, untouched = true, chosen = null, pointed = null;
  for (const [pane, z] of [["base", 200], ["tiles", 300], ["pictures", 350], ["vectors", 420], ["grid", 440]]) {
    map.createPane(pane).style.zIndex = z;
  }
  const trouble = L.DomUtil.create("div", "gp-trouble", map.getContainer());
  trouble.hidden = true;
  const swipe = gpSwipe(map), grid = gpGrid(map, colours, FAINT);
  const drawn = Object.fromEntries(["vectors", "first", "second"].map(pane => [pane, L.canvas({pane: pane})]));
  const kept = JSON.parse(sessionStorage.getItem("groundplan-layers") || "{}");
  for (const row of rows) {
    state[row.key] = Object.assign({on: row.on, opacity: row.opacity}, kept[row.key], row.elsewhere ? {on: false} : {});
  }
  const link = gpLink(map, rows, state);

  function apply(key) {
    ensure(key);
    const layer = shown[key] && shown[key].layer, s = state[key];
    const opacity = s && s.on ? s.opacity : 0;
    if (key === "image") grid.fade(opacity);
    if (key === "street" && layer && !s.on) { layer.remove(); delete shown[key]; delete asked[key]; return; }
    if (!layer || !s) return;
    if (layer.setOpacity) layer.setOpacity(opacity);
    else layer.setStyle(f => styled(shown[key], f, opacity));
  }
  function styled(item, feature, opacity) {
    const style = item.style, facts = (feature && feature.properties) || {};
    if (facts.verdict === "match") return {opacity: facts.of === pointed ? 1 : 0, weight: 3, color: TRUTH, fill: false};
    const s = Object.assign({}, style, (style.by && style.by[facts.verdict]) || {});
    if (facts.decided === "rejected") opacity *= 0.35;
    if (item.shapes && facts.id === chosen) Object.assign(s, {color: "#ffffff", weight: 4, dash: null});
    return {color: s.color, weight: (s.weight || 2) * (map.getZoom() < 16.5 ? 0.4 : 1), dashArray: s.dash || null, opacity: opacity,
            fillColor: s.color, fill: true, fillOpacity: (s.fill || 0) * opacity};
  }
  map.on("zoomend", () => {
    for (const [key, one] of Object.entries(shown)) if (one.kind === "vector") apply(key);
  });
  function keep() { sessionStorage.setItem("groundplan-layers", JSON.stringify(Object.assign(kept, state))); }

  function legendOf(said, box) {
    const legend = L.DomUtil.create("div", "gp-legend", box);
    if (said.ramp) {
      L.DomUtil.create("div", "gp-ramp", legend).style.background = "linear-gradient(to right, " + said.ramp + ")";
      const marks = L.DomUtil.create("div", "gp-marks", legend);
      for (const [place, text] of said.marks) {
        const mark = L.DomUtil.create("span", "", marks);
        mark.textContent = text; mark.style.left = place + "%";
      }
    }
    for (const [swatch, text] of said.items || []) {
      const item = L.DomUtil.create("div", "gp-item", legend);
      if (swatch) L.DomUtil.create("span", "gp-swatch", item).style.cssText = swatch;
      L.DomUtil.create("span", "", item).textContent = text;
    }
    return legend;
  }
  function panel() {
    const control = L.control({position: "topright"});
    control.onAdd = function () {
      const box = L.DomUtil.create("details", "gp-panel");
      box.open = map.getSize().x > 560;
      L.DomUtil.create("summary", "", box).textContent = "Layers";
      for (const row of rows) {
        const line = L.DomUtil.create("label", "gp-row", box), s = state[row.key];
        const tick = L.DomUtil.create("input", "", line);
        tick.type = "checkbox"; tick.checked = s.on; tick.setAttribute("data-layer", row.key);
        L.DomUtil.create("span", "gp-swatch", line).style.cssText = row.swatch;
        names[row.key] = L.DomUtil.create("span", "gp-name", line);
        names[row.key].textContent = row.name;
        const slide = L.DomUtil.create("input", "", line);
        slide.type = "range"; slide.min = 0; slide.max = 100; slide.value = s.opacity * 100;
        slide.setAttribute("aria-label", "Opacity of " + row.name); slide.title = "Opacity";
        let legend = null;
        if (row.legend) {
          legend = legendOf(row.legend, box);
          legend.hidden = !s.on;
        }
        tick.onchange = () => { s.on = tick.checked; if (legend) legend.hidden = !s.on; apply(row.key); keep(); };
        slide.oninput = () => {
          s.opacity = slide.value / 100; s.on = tick.checked = true;
          if (legend) legend.hidden = false;
          apply(row.key); keep();
        };
      }
      L.DomEvent.disableClickPropagation(box); L.DomEvent.disableScrollPropagation(box);
      return box;
    };
    if (rows.length) control.addTo(map);
  }

  function readout() {
    const control = L.control({position: "bottomleft"});
    control.onAdd = () => L.DomUtil.create("div", "gp-readout");
    control.addTo(map);
    const box = control.getContainer(); box.style.visibility = "hidden"; box.textContent = "0°";
    map.on("mousemove", e => {
      box.style.visibility = "visible";
      box.textContent = e.latlng.lat.toFixed(5) + "°, " + e.latlng.lng.toFixed(5) + "°";
    });
  }

  // The old picture stays until the new one has come, or has failed to come: the map never goes blank.
  function put(key, layer, item) {
    const old = shown[key], stale = leaving[key] = leaving[key] || [];
    if (old) stale.push(old.layer);
    const clear = () => { for (const gone of stale.splice(0)) gone.remove(); };
    shown[key] = Object.assign({layer: layer}, item);
    if (item.kind === "image") layer.once("load", clear).once("error", () => { clear(); complain(item.url); });
    else if (item.kind === "tiles") {
      layer.once("load", clear);
      layer.once("tileerror", error => key === "street" ? say(NO_STREETS) : complain(error.tile.src));
    }
    else clear();
    layer.addTo(map); apply(key);
  }
  function say(text) { trouble.textContent = text; trouble.hidden = !text; }
  function complain(url) { fetch(url).then(answer => answer.ok ? "" : answer.text()).catch(() => "").then(say); }
  function hover(item) {
    return (feature, layer) => {
      const facts = feature.properties;
      if (!facts.words) { layer.options.interactive = false; return; }
      const box = document.createElement("span"); box.textContent = facts.words;
      layer.bindTooltip(box, {sticky: true});
      if (facts.iou || facts.decided) layer._updatePath = written;
      layer.on("mouseover", () => { pointed = facts.id; apply(item.key); });
      layer.on("mouseout", () => { pointed = null; apply(item.key); });
      // The feature's own properties: the component sets the drawing once more from the layer that was clicked.
      if (item.shapes) layer.on("click", () => { chosen = facts.id; grid.tell(Object.assign(facts, {act: "shape"})); apply(item.key); });
    };
  }
  // What a colour does not say: the IoU of what was found, and what a person said of it.
  function written() {
    Object.getPrototypeOf(this)._updatePath.call(this);
    const facts = this.feature.properties, box = this._pxBounds, size = box && box.getSize();
    if (!this._parts.length || size.x < 30 || !this.options.opacity) return;
    const pen = this._renderer._ctx, middle = box.getCenter();
    const text = ({accepted: "✓ ", rejected: "✗ "}[facts.decided] || "") + (facts.iou ? facts.iou.toFixed(2) : "");
    pen.globalAlpha = this.options.opacity; pen.font = "600 11px system-ui, sans-serif"; pen.textAlign = "center";
    pen.textBaseline = "middle"; pen.lineWidth = 3; pen.strokeStyle = "#0e1117"; pen.setLineDash([]);
    pen.strokeText(text, middle.x, middle.y); pen.fillStyle = "#ffffff"; pen.fillText(text, middle.x, middle.y);
  }
  function add(item) {
    const bounds = item.bounds && [[item.bounds[1], item.bounds[0]], [item.bounds[3], item.bounds[2]]];
    if (item.kind === "image") {
      put(item.key, L.imageOverlay(item.url, bounds, {pane: item.pane || "pictures", attribution: item.attribution || "",
        zIndex: item.z || 1}), item);
      return;
    }
    if (item.kind === "tiles") {
      put(item.key, L.tileLayer(item.url, {pane: item.pane || "pictures", bounds: bounds, zIndex: item.z || 1,
        attribution: item.attribution || "", maxNativeZoom: item.max_zoom, maxZoom: 23, keepBuffer: 3,
        updateWhenZooming: false}), item);
      return;
    }
    fetch(item.url).then(answer => answer.ok ? answer.json() : complain(item.url)).catch(() => null).then(data => {
      if (asked[item.key] !== item.url) return;
      if (!data) { delete asked[item.key]; return; }  // asked for again when it is switched on anew
      const pane = item.pane || "vectors";
      put(item.key, L.geoJSON(data, {pane: pane, interactive: item.hover, renderer: drawn[pane],
        onEachFeature: item.hover ? hover(item) : undefined}), item);
    });
  }
  function ensure(key) {
    const item = wanted[key];
    if (!item || asked[key] === item.url || !(state[key] && state[key].on)) return;
    asked[key] = item.url;
    add(item);
  }
  const lookOf = scene => scene.turn + " " + scene.focus.join(" ");
  let look = null;
  map.on("moveend", () => {
    const c = map.getCenter();
    if (look && !untouched) {
      sessionStorage.setItem("groundplan-view", JSON.stringify({of: look, centre: [c.lat, c.lng], zoom: map.getZoom()}));
    }
  });
  window.gpShow = function (scene) {
    wanted = {street: STREET};
    for (const item of scene.layers) wanted[item.key] = item;
    for (const key of Object.keys(asked)) {
      if (wanted[key] && asked[key] === wanted[key].url) continue;
      const gone = !wanted[key] || !state[key].on;
      if (gone && shown[key]) { shown[key].layer.remove(); delete shown[key]; }
      delete asked[key];
    }
    for (const item of scene.layers) ensure(item.key);
    grid.show(scene); swipe.show(scene.swipe);
    ["first", "second"].forEach((key, n) => {  // named after their runs, where these are told
      if (names[key] && Array.isArray(scene.swipe)) names[key].textContent = scene.swipe[n];
    });
    if (scene.shape !== chosen) { chosen = scene.shape; for (const key of Object.keys(shown)) if (shown[key].shapes) apply(key); }
    trouble.hidden = true;
    if (scene.turn !== turn) {
      // The first look is the address's, where it has one, or the one this look was left with on another page.
      const kept = JSON.parse(sessionStorage.getItem("groundplan-view") || "null");
      const asked = link.view || (kept && kept.of === lookOf(scene) ? kept : null);
      focus = turn === null && asked ? asked : scene.focus;
      look = lookOf(scene);
      turn = scene.turn;
      untouched = true;
      fit();
    }
    map.gpSettled = true;
  };
  // The style sheet may arrive after the first scene: as long as nobody moved the map, it is fitted again.
  function fit() {
    if (!focus || !untouched) return;
    if (focus.centre) { map.setView(focus.centre, focus.zoom, {animate: false}); return; }
    const [w, s, e, n] = focus;
    const open = document.querySelector(".gp-panel[open]"), wide = map.getSize().x > 820;
    map.fitBounds([[s, w], [n, e]], {animate: false, paddingBottomRight: [open && wide ? 250 : 0, 0]});
  }
  new ResizeObserver(() => map.invalidateSize({pan: false})).observe(map.getContainer());
  map.on("resize", fit);
  for (const act of ["mousedown", "wheel", "touchstart", "keydown"]) {
    map.getContainer().addEventListener(act, () => { untouched = false; }, {capture: true, passive: true});
  }
  panel(); readout();
  if (picks) grid.controls();
  L.control.scale({imperial: false, position: "bottomleft"}).addTo(map);
  map.attributionControl.setPrefix("Leaflet");
  // Keys: 1 to 6 switch layers; a and r judge the chosen building; n, p and the arrows belong to the page, which does not
  // hear what is pressed in this frame. Streamlit keeps r for itself, so it must not hear that one.
  function key(event) {
    if (event.target.closest && event.target.closest("input:not([type=checkbox]), textarea, [contenteditable]")) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const row = rows[Number(event.key) - 1], verdict = {a: "accepted", r: "rejected"}[event.key];
    if (chosen && verdict) {
      event.stopImmediatePropagation(); event.preventDefault();
      grid.tell({act: "decide", id: chosen, verdict: verdict});
      map.fire("moveend");  // the component looks for news when the map moved or was clicked
    }
    else if (row) document.querySelector(`input[data-layer="${row.key}"]`).click();
    else if (event.view === window && ("np".includes(event.key) || (chosen && /^Arrow(Up|Down)$/.test(event.key)))) {
      if (event.key.startsWith("Arrow")) { event.preventDefault(); event.stopImmediatePropagation(); }
      window.parent.document.dispatchEvent(new KeyboardEvent("keydown", {key: event.key, code: event.code, bubbles: true}));
    }
  }
  document.addEventListener("keydown", key, true);
  window.parent.document.addEventListener("keydown", key, true);
  window.addEventListener("pagehide", () => window.parent.document.removeEventListener("keydown", key, true));
};
