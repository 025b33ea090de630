// What the page's address carries of the map: `view` (latitude_longitude_zoom) and `layers` (those that are on, with
// their opacity where it is not the usual one). Streamlit knows nothing of it, so nothing reruns.
"use strict";
window.gpLink = function (map, rows, state) {
  const page = window.parent, path = page.location.pathname, usual = {};
  for (const row of rows) usual[row.key] = Math.round(row.opacity * 100);
  const read = name => new URLSearchParams(page.location.search).get(name);

  function asked() {
    const match = /^(-?[\d.]+)_(-?[\d.]+)_([\d.]+)$/.exec(read("view") || "");
    const [lat, lng, zoom] = match ? match.slice(1).map(Number) : [];
    return match && Math.abs(lat) <= 90 && Math.abs(lng) <= 180 && zoom <= 23 ? {centre: [lat, lng], zoom: zoom} : null;
  }
  function layersNow() {
    return rows.filter(row => !row.elsewhere && state[row.key].on).map(row => {
      const opacity = Math.round(state[row.key].opacity * 100);
      return opacity === usual[row.key] ? row.key : row.key + "-" + opacity;
    }).join(".");
  }
  function takeLayers() {
    const text = read("layers");
    if (text === null) return;
    const named = Object.fromEntries(text.split(".").map(part => part.split("-")));
    for (const row of rows) {
      if (row.elsewhere) continue;
      state[row.key].on = row.key in named;
      const opacity = Number(named[row.key]);
      if (named[row.key] && opacity >= 0 && opacity <= 100) state[row.key].opacity = opacity / 100;
    }
  }
  // Streamlit writes its own part anew at a rerun: what was the map's is put back a moment later.
  function write() {
    if (page.location.pathname !== path || !map.gpSettled) return;
    const query = new URLSearchParams(page.location.search), centre = map.getCenter();
    query.set("view", `${centre.lat.toFixed(5)}_${centre.lng.toFixed(5)}_${+map.getZoom().toFixed(2)}`);
    query.set("layers", layersNow());
    const address = path + "?" + query;
    if (address !== path + page.location.search) page.history.replaceState(page.history.state, "", address);
  }
  takeLayers();
  const timer = setInterval(write, 400);
  window.addEventListener("pagehide", () => clearInterval(timer));
  return {view: asked()};
};
