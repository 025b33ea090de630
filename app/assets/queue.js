// The queue of jobs as a table whose rows can be chosen. Rows are kept by job and changed in place, so that a table that
// is drawn anew every second neither flickers nor loses its place or the keyboard's.
// data: {rows: [{id, place, title, note, words, colour, share, priority, when}], chosen}.
// Text from outside reaches the page through textContent alone.
export default function ({data, parentElement, setTriggerValue}) {
  const body = parentElement.querySelector("tbody");
  const known = new Map([...body.rows].map(row => [row.dataset.job, row]));

  function fresh(id) {
    const row = document.createElement("tr");
    row.dataset.job = id;
    row.tabIndex = 0;
    for (const name of ["place", "what", "state", "when"]) row.insertCell().className = name;
    const title = row.cells[1].appendChild(document.createElement("b"));
    title.after(document.createElement("small"));
    row.cells[2].append(document.createElement("i"), document.createElement("span"));
    // Names what is to be chosen, 0 for none, and not that a row was clicked: a busy browser sends a click twice.
    row.onclick = () => setTriggerValue("chosen", row.getAttribute("aria-selected") === "true" ? 0 : Number(id));
    row.onkeydown = event => {
      const step = {ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling"}[event.key];
      if (step) { row[step]?.focus(); event.preventDefault(); }
      if (event.key === "Enter" || event.key === " ") { row.onclick(); event.preventDefault(); }
    };
    return row;
  }
  function put(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }
  data.rows.forEach((item, n) => {
    const id = String(item.id), row = known.get(id) ?? fresh(id);
    known.delete(id);
    put(row.cells[0], item.place);
    put(row.cells[1].firstChild, item.title);
    put(row.cells[1].lastChild, item.note);
    row.cells[2].firstChild.style.background = item.colour;
    put(row.cells[2].lastChild, item.words);
    row.cells[2].style.setProperty("--share", `${100 * item.share}%`);
    put(row.cells[3], item.when);
    row.setAttribute("aria-selected", String(item.id === data.chosen));
    if (body.rows[n] !== row) body.insertBefore(row, body.rows[n] ?? null);
  });
  for (const row of known.values()) row.remove();
}
