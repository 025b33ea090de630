// The grid of tiles on a canvas, ten thousand of them as well as ten: what a click on one means, thumbnails of those
// that are here, and whose turn it is in training. Text from outside reaches the page through textContent alone.
"use strict";
window.gpGrid = function (map, colours, faint) {
  const renderer = L.canvas({pane: "grid", padding: 0.2}), thumbnails = {};
  let tiles = [], byId = {}, group = null, address = null, selected = null, split = {}, opacity = 1, picking = false, tiny = false;
  let dots = [];

  function tell(properties) {
    // The moment tells clicks apart.
    window.__GLOBAL_DATA__.last_active_drawing =
      {type: "Feature", properties: Object.assign(properties, {at: Date.now()}), geometry: null};
  }
  function style(tile) {
    const p = tile.feature.properties, chosen = p.id === selected, part = split[p.id];
    const colour = part ? colours[part] : p.here ? "#c9d1de" : "#8792a4";
    if (tiny && !chosen) {  // too small for dashes and letters: what is here stands out by being filled
      return {color: part ? colours[part] : p.here ? "#ffffff" : "#5d6778", weight: p.here || part ? 1.5 : 0.6, opacity: 0.9,
              dashArray: null, fill: true, fillColor: part ? colours[part] : "#c9d1de",
              fillOpacity: part ? 0.6 : p.here ? 0.7 : 0.06};
    }
    return {color: chosen ? "#ffffff" : colour, weight: chosen ? 3 : part ? 2 : 1,
            opacity: chosen ? 1 : part ? 0.95 : 0.6, dashArray: p.here ? null : "4 4",
            fill: true, fillColor: colour, fillOpacity: part ? 0.22 : 0};
  }
  // The second cue beside the colour: the letter of the part in the middle of the tile.
  function lettered() {
    Object.getPrototypeOf(this)._updatePath.call(this);
    const part = split[this.feature.properties.id], box = this._pxBounds, size = box && box.getSize();
    if (!part || !this._parts.length || size.x < 26) return;
    const pen = this._renderer._ctx, middle = box.getCenter(), high = Math.min(22, size.x * 0.4);
    pen.globalAlpha = 1; pen.font = `700 ${high}px system-ui, sans-serif`; pen.textAlign = "center";
    pen.textBaseline = "middle"; pen.lineWidth = 4; pen.strokeStyle = "#0e1117"; pen.setLineDash([]);
    pen.strokeText(part, middle.x, middle.y); pen.fillStyle = colours[part]; pen.fillText(part, middle.x, middle.y);
  }
  function click(tile, event) {
    const pick = picking || event.originalEvent.shiftKey;
    // The feature's own properties: the component sets the drawing once more from the layer that was clicked.
    tell(Object.assign(tile.feature.properties, {act: pick ? "pick" : "look"}));
  }
  function words(tile) {
    const p = tile.feature.properties, box = document.createElement("span");
    const what = !p.here ? "not downloaded" : p.labelled ? p.buildings + " buildings" : "no labels";
    const part = {T: " · training", V: " · validation", "–": " · excluded buffer", L: " · split tile"}[split[p.id]] || "";
    box.textContent = (p.name || p.id) + " · " + what + part;
    return box;
  }

  function load(url) {
    if (!url || url === address) return;
    address = url;
    fetch(url).then(answer => answer.ok ? answer.json() : null).catch(() => null).then(data => {
      if (url !== address) return;
      if (!data) { address = null; return; }  // asked for again at the next scene
      if (group) group.remove();
      for (const id of Object.keys(thumbnails)) { thumbnails[id].remove(); delete thumbnails[id]; }
      tiles = []; byId = {};
      group = L.geoJSON(data, {pane: "grid", renderer: renderer, onEachFeature: (feature, tile) => {
        tiles.push(tile); byId[feature.properties.id] = tile;
        tile._updatePath = lettered;
        tile.on("click", event => click(tile, event));
      }});
      decode();
      group.addTo(map).bindTooltip(words, {sticky: true});
      group.setStyle(f => style(byId[f.properties.id]));
      if (byId[selected]) byId[selected].bringToFront();
      summarise(); look();
      if (early) whole();
    });
  }
  // From afar tiles are too small to be seen: a dot an area, which leads there.
  function summarise() {
    const found = {};
    for (const dot of dots) dot.remove();
    dots = [];
    for (const tile of tiles) (found[tile.feature.properties.aoi] ||= []).push(tile);
    for (const [aoi, members] of Object.entries(found)) {
      const bounds = members.reduce((sum, tile) => sum.extend(tile.getBounds()), L.latLngBounds([]));
      const dot = L.circleMarker(bounds.getCenter(), {pane: "grid", radius: 9, color: "#e69f00", weight: 2,
        fillColor: "#e69f00", fillOpacity: 0.35, keyboard: true});
      const box = document.createElement("span");
      box.textContent = aoi + " · " + members.length + " tiles";
      dot.bindTooltip(box, {permanent: true, direction: "right", offset: [10, 0]});
      dot.on("click", () => { tell({act: "area", aoi: aoi}); map.fitBounds(bounds.pad(0.05)); });
      dot.gpBounds = bounds;
      dots.push(dot);
    }
  }
  function resize() {
    const any = tiles[0].getBounds();
    const across = map.latLngToContainerPoint(any.getNorthEast()).x - map.latLngToContainerPoint(any.getSouthWest()).x;
    if ((across < 12) === tiny) return;
    tiny = across < 12;
    group.setStyle(f => style(byId[f.properties.id]));
  }
  function look() {
    if (!tiles.length) return;
    resize();
    for (const dot of dots) {  // one that is merely unseen would still take the clicks of the tiles below it
      const across = map.latLngToContainerPoint(dot.gpBounds.getNorthEast())
        .distanceTo(map.latLngToContainerPoint(dot.gpBounds.getSouthWest()));
      if (across < 40) dot.addTo(map); else dot.remove();
    }
    thumbnail();
  }
  function thumbnail() {
    const view = map.getBounds();
    for (const [id, small] of Object.entries(thumbnails)) {
      if (!view.pad(0.5).intersects(small.getBounds())) { small.remove(); delete thumbnails[id]; }
    }
    let room = 150 - Object.keys(thumbnails).length;
    for (const tile of tiles) {
      const p = tile.feature.properties;
      if (room <= 0) break;
      if (!p.here || thumbnails[p.id] || !view.intersects(tile.getBounds())) continue;
      const b = tile.getBounds();
      if (map.latLngToContainerPoint(b.getNorthEast()).x - map.latLngToContainerPoint(b.getSouthWest()).x < 24) continue;
      room -= 1;
      thumbnails[p.id] = L.imageOverlay("../../layers/tiles/" + encodeURIComponent(p.id) + "/thumbnail", b,
        {pane: "tiles", opacity: opacity * faint, attribution: harmless(p.by)});
      waiting.push(p.id);
    }
    fetchNext();
  }
  function harmless(text) {
    const box = document.createElement("span");
    box.textContent = text || "";
    return box.innerHTML;
  }
  // A few at a time: a browser asks six things at once, and the chosen tile's own picture must not stand in line.
  const waiting = [];
  let coming = 0;
  function fetchNext() {
    while (coming < 3 && waiting.length) {
      const small = thumbnails[waiting.shift()];
      if (!small || map.hasLayer(small)) continue;
      coming += 1;
      small.once("load error remove", function settled() {
        small.off("load error remove", settled);
        coming -= 1; setTimeout(fetchNext, 0);
      });
      small.addTo(map);
    }
  }
  // Places in the grid's order, as "0-19,25", by the letter of their part.
  let coded = {};
  function decode() {
    const before = split; split = {};
    for (const [part, text] of Object.entries(coded)) {
      for (const range of text ? text.split(",") : []) {
        const [first, last] = range.split("-").map(Number);
        for (let n = first; n <= (last ?? first); n++) if (tiles[n]) split[tiles[n].feature.properties.id] = part;
      }
    }
    return Object.keys({...before, ...split}).filter(id => before[id] !== split[id]);
  }
  function repaint(ids) { for (const id of ids) if (byId[id]) byId[id].setStyle(style(byId[id])); }

  let early = false;  // asked for before the tiles came
  function whole() {
    const aoi = byId[selected] && byId[selected].feature.properties.aoi;
    const members = tiles.filter(tile => tile.feature.properties.aoi === aoi);
    early = !tiles.length;
    if (members.length) map.fitBounds(L.featureGroup(members).getBounds().pad(0.02));
  }
  function controls() {
    const control = L.control({position: "topleft"});
    control.onAdd = function () {
      const box = L.DomUtil.create("div", "leaflet-bar gp-pick");
      const [pick, view, area] = ["pick", "view", "area"].map(() => L.DomUtil.create("a", "", box));
      for (const [act, button] of Object.entries({pick, view, area})) {
        button.href = "#"; button.setAttribute("role", "button"); button.setAttribute("data-act", act);
      }
      pick.textContent = "✓"; pick.title = "Select tiles (click to add or remove)";
      view.textContent = "▣"; view.title = "Add all tiles in view";
      area.textContent = "⤢"; area.title = "Zoom to area";
      for (const button of [pick, view, area]) button.setAttribute("aria-label", button.title);
      L.DomEvent.on(area, "click", event => {
        L.DomEvent.stop(event);
        whole();
      });
      L.DomEvent.on(pick, "click", event => {
        L.DomEvent.stop(event); picking = !picking;
        pick.classList.toggle("gp-on", picking); pick.setAttribute("aria-pressed", picking);
        map.getContainer().classList.toggle("gp-picking", picking);
      });
      L.DomEvent.on(view, "click", event => {
        L.DomEvent.stop(event);
        const b = map.getBounds();
        tell({act: "view", bounds: [b.getWest(), b.getSouth(), b.getEast(), b.getNorth()]});
        map.fire("moveend");  // the component looks for news when the map moved or was clicked
      });
      L.DomEvent.disableClickPropagation(box);
      return box;
    };
    control.addTo(map);
  }

  map.on("moveend", look);
  return {
    controls: controls, tell: tell,
    show(scene) {
      load(scene.grid);
      const changed = [selected, scene.selected];
      selected = scene.selected;
      coded = scene.split || {};
      repaint([...new Set([...changed, ...decode()])]);
      if (byId[selected]) byId[selected].bringToFront();
    },
    fade(value) { opacity = value; for (const small of Object.values(thumbnails)) small.setOpacity(value * faint); },
  };
};
