// The view in a notebook: draw() of view.js on a model of anywidget, which is fasttsne/plot/map_widget.py.
function render({ model, el }) {
  // A copy: buffers of messages are not aligned.
  const bytes = (name) => { const part = model.get(name); return part.buffer.slice(part.byteOffset, part.byteOffset + part.byteLength); };
  function isDark() { // by the attributes of JupyterLab and of marimo; undefined: as the system
    const { jpThemeLight, theme } = document.body.dataset;
    if (jpThemeLight !== undefined) return jpThemeLight === "false";
    return theme === undefined ? undefined : theme === "dark";
  }
  let view = null, frame;

  function move() {
    const places = new Float32Array(bytes("_places")), n = places.length / 2; // x of all points, then y
    if (n > 0) view?.move(places.subarray(0, n), places.subarray(n));
  }

  const changes = {
    "change:_data"() {
      view?.destroy();
      view = null;
      const data = model.get("_data");
      el.textContent = data.points ? "" : "No map yet: it appears with the first coordinates.";
      if (!data.points) return;
      view = draw(el, data, { height: model.get("height") + "px", dark: isDark() });
      view.onSelect((rows) => {
        model.set("selection", new DataView(Int32Array.from(rows).buffer));
        model.save_changes();
      });
      move();
      changes["change:selection"]();
    },
    "change:_places"() { frame ??= requestAnimationFrame(() => { frame = undefined; move(); }); }, // the last is drawn
    "change:selection"() { view?.select(new Int32Array(bytes("selection"))); },
  };

  // Keys on the map are not shortcuts of JupyterLab, which looks for this attribute on the focused element.
  el.addEventListener("focusin", (event) => { event.target.dataset.lmSuppressShortcuts = "true"; });
  for (const [event, change] of Object.entries(changes)) model.on(event, change);
  changes["change:_data"]();
  return () => {
    for (const [event, change] of Object.entries(changes)) model.off(event, change);
    view?.destroy();
  };
}
export default { render };
