// draw(container, data, options): a map one can work with, in any element of a page.
//
// data      what fasttsne.plot.view.view_data returns. An array is a typed array, or
//           {dtype, data} with its bytes as base64, an ArrayBuffer or a view of one.
// options   {height: "500px"; dark: true or false, without it as the system; page: true where the
//           view is all of the page, whose scroll bars and controls then have its colours}
// returns   {select(rows), selection(), onSelect(callback), colorBy(name), move(x, y), place(x, y),
//           destroy()}; rows count from 0, and colorBy(null) is one colour
//
// The file declares this one function and no module, so that a page contains it as it is and a
// widget adds its own export. Points are drawn by WebGL; all else is HTML, and every text of the
// data is set as textContent, never as markup. Sections: data, elements, colours, layers, WebGL, the
// view, the nearest point, tips, names, legend, search, selection, mouse and keys, start, style.
"use strict";
function draw(container, data, options = {}) {
  const NAMES_COVER = 0.12, NAME_LENGTH = 24; // share of the map that names may hide; characters
  const QUICK = 60, REST = 150, LONG = 800; // milliseconds
  const VIRIDIS = ["#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70", "#7ad151", "#bddf26", "#fde725"];
  const SYMBOLS = ["circle", "square", "triangle-up", "cross", "diamond", "triangle-down", "x"];
  const FADED = 0, NORMAL = 1, RAISED = 2; // levels of a point

  // ---- data -------------------------------------------------------------------------------------

  function numbers(array) {
    if (array == null || (ArrayBuffer.isView(array) && !(array instanceof DataView))) return array;
    const types = { int8: Int8Array, int16: Int16Array, int32: Int32Array, uint8: Uint8Array, float32: Float32Array, float64: Float64Array };
    let bytes = array.data;
    if (typeof bytes === "string") {
      const text = atob(bytes);
      bytes = new Uint8Array(text.length);
      for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
    } else if (ArrayBuffer.isView(bytes)) {
      bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength).slice(); // aligned
    }
    return new types[array.dtype](bytes.buffer ?? bytes);
  }

  let points = numbers(data.points), { origin, unit, middle, half } = data;
  const n = points.length / 2;
  const columns = data.columns.map((one) => ({ ...one, codes: numbers(one.codes), values: numbers(one.values) }));
  const able = columns.filter((one) => one.colors || one.values); // can be the colour
  const opacity = n > 200000 ? 0.5 : n > 20000 ? 0.65 : 0.8;
  const count = (k) => k.toLocaleString("en");

  function exactly(value, single) { // a number as text, no longer than its precision
    if (Number.isNaN(value)) return "";
    if (!single) return String(value);
    for (let digits = 6; digits < 9; digits++) {
      const short = Number(value.toPrecision(digits));
      if (Math.fround(short) === value) return String(short);
    }
    return String(Number(value.toPrecision(9)));
  }
  const rounded = (value) => String(Number(value.toPrecision(4)));

  function cell(one, row) { // the text of a column in a row, "" if missing
    if (one.values) return exactly(one.values[row], one.values instanceof Float32Array);
    if (!one.codes) return one.names[row] ?? "";
    return one.codes[row] < 0 ? "" : one.names[one.codes[row]];
  }

  function readable(one, row) { // the same with at most six digits
    return one.values && !Number.isNaN(one.values[row]) ? String(Number(one.values[row].toPrecision(6))) : cell(one, row);
  }

  function coordinate(row, axis) {
    const p = points[2 * row + axis];
    if (unit === 1 && origin[axis] === 0) return exactly(p, true);
    return String(Number((origin[axis] + unit * p).toPrecision(9)));
  }

  // ---- elements ---------------------------------------------------------------------------------

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }
  const button = (text, label, action) => make("button", { type: "button", textContent: text, "aria-label": label, title: label, onclick: action });

  const colorChoice = make("select", { className: "color", "aria-label": "Colour by" });
  const search = make("input", { className: "search", type: "search", placeholder: "Search", autocomplete: "off", "aria-label": "Search texts" });
  const within = make("select", { className: "within", "aria-label": "Search in" });
  const found = make("span", { className: "found", role: "status" });
  const takeFound = button("Select found", "Select the points found", () => choose(rowsOf(hits)));
  const modes = Object.fromEntries([
    ["pan", "Pan", "Drag moves the map"], ["lasso", "Lasso", "Drag a loop around points to select them"], ["box", "Box", "Drag a box around points to select them"],
  ].map(([mode, text, label]) => [mode, button(text, `${text}: ${label}`, () => setMode(mode))]));
  const namesSwitch = button("Names", "Names of classes on the map", () => { showNames = !showNames; setPressed(); placeNames(); });
  const darkSwitch = button("Dark", "Dark colours", () => { isDark = !isDark; userDark = true; setTheme(); });
  const status = make("span", { className: "count", role: "status", "aria-live": "polite" });
  const actions = [
    button("Copy", "Copy the selected rows as a table", copy),
    button("Download", "Download the selected rows as CSV", download),
    button("Clear", "Clear the selection", () => choose([])),
  ];
  const canvas = make("canvas", { "aria-hidden": "true" });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const outline = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("aria-hidden", "true");
  svg.append(outline);
  const nameLayer = make("div", { className: "names", "aria-hidden": "true" });
  const map = make("div", { className: "map", tabIndex: 0, role: "application", "aria-roledescription": "map of points" }, canvas, nameLayer, svg);
  const legend = make("section", { className: "legend", "aria-label": "Legend" });
  const tip = make("div", { className: "tip", role: "tooltip" }, make("b"), make("span"), make("i"));
  const heading = data.title ? [make("h1", { textContent: data.title })] : [];
  const labelled = (label, ...children) => make("div", { className: "group", role: "group", "aria-label": label }, ...children);
  const root = make("div", { className: "fasttsne" },
    make("style", { textContent: STYLE() }),
    make("div", { className: "tools" }, ...heading,
      make("label", { className: "group" }, make("span", { textContent: "Colour" }), colorChoice),
      labelled("Search", search, within),
      labelled("Mouse", ...Object.values(modes)),
      labelled("View", button("+", "Zoom in", () => zoomBy(1.5)), button("−", "Zoom out", () => zoomBy(1 / 1.5)), button("Whole map", "Show the whole map", goHome), namesSwitch, darkSwitch)),
    make("div", { className: "middle" }, map, legend),
    make("div", { className: "selected", role: "group", "aria-label": "Selection" }, status, found, takeFound, ...actions),
    tip);
  if (options.height) root.style.height = options.height;

  // ---- colours ----------------------------------------------------------------------------------

  const system = matchMedia("(prefers-color-scheme: dark)");
  let isDark = options.dark ?? system.matches, userDark = options.dark !== undefined;
  const parsed = (color) => [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16));
  const hex = (rgb) => "#" + rgb.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("");
  const missingColor = () => (isDark ? "#55595f" : "#c4c4c4");
  const othersColor = () => (isDark ? "#8f9399" : "#777777");

  function onTheme(color) { // dark colours become lighter on a dark ground
    let rgb = parsed(color);
    const light = () => 0.2126 * (rgb[0] / 255) ** 2.2 + 0.7152 * (rgb[1] / 255) ** 2.2 + 0.0722 * (rgb[2] / 255) ** 2.2;
    while (isDark && light() < 0.16) rgb = rgb.map((part) => part + 0.15 * (255 - part));
    return hex(rgb);
  }

  function limits(values) { // without 1 % at either end if few values stretch the scale
    const known = values.filter((value) => Number.isFinite(value)).sort();
    if (known.length === 0) return { low: 0, high: 1, below: false, above: false };
    const [least, low, high, most] = [0, 0.01, 0.99, 1].map((share) => known[Math.round(share * (known.length - 1))]);
    const stretched = most - least > 3 * (high - low) && high > low;
    return stretched ? { low, high, below: least < low, above: most > high } : { low: least, high: most, below: false, above: false };
  }

  // The groups of a column: entries of the legend. groupOf[row] is the index of a row's group.
  let column = null, groups = [], groupOf = new Uint16Array(n), scale = null;

  function setColumn(name) {
    column = able.find((one) => one.name === name) ?? null;
    scale = null;
    groupOf.fill(0);
    if (column?.values) {
      scale = column.limits ??= limits(column.values);
      groups = [{ name: "", kind: "scale" }, { name: "missing", kind: "missing" }];
      for (let i = 0; i < n; i++) if (Number.isNaN(column.values[i])) groupOf[i] = 1;
    } else if (column) {
      const { codes, shown, short, symbols } = column, groupOfCode = new Uint16Array(column.names.length).fill(shown.length);
      groups = shown.map((code) => ({ name: short[code], kind: "class", code, symbol: SYMBOLS.indexOf(symbols[code]) }));
      shown.forEach((code, k) => { groupOfCode[code] = k; });
      groups.push({ name: count(column.names.length - shown.length) + " smaller classes", kind: "others" }, { name: "missing", kind: "missing" });
      for (let i = 0; i < n; i++) groupOf[i] = codes[i] < 0 ? shown.length + 1 : groupOfCode[codes[i]];
    } else {
      groups = [{ name: "", kind: "plain" }];
    }
    for (const group of groups) Object.assign(group, { size: 0, hidden: false });
    for (let i = 0; i < n; i++) groups[groupOf[i]].size++;
    colorChoice.value = column ? String(columns.indexOf(column)) : "";
    anchors = null;
    writeLegend();
    paintColors();
  }

  function colorOf(group) {
    if (group.kind === "class") return onTheme(column.colors[group.code]);
    if (group.kind === "missing") return missingColor();
    return group.kind === "others" ? othersColor() : onTheme(data.plain);
  }

  let looks = new Uint8Array(4 * n); // red, green, blue, symbol + 8 * level

  function paintColors() {
    const flat = groups.map((group) => parsed(colorOf(group)));
    const steps = scale && ramp(256);
    for (let i = 0; i < n; i++) {
      const g = groupOf[i];
      const rgb = groups[g].kind !== "scale" ? flat[g] : steps[Math.round(255 * alongScale(column.values[i]))];
      looks[4 * i] = rgb[0]; looks[4 * i + 1] = rgb[1]; looks[4 * i + 2] = rgb[2];
      looks[4 * i + 3] = groups[g].symbol ?? 0;
    }
    setLevels();
  }

  // By halves, which do not overflow.
  const alongScale = (value) => Math.max(0, Math.min(1, scale.high > scale.low ? (value / 2 - scale.low / 2) / (scale.high / 2 - scale.low / 2) : 0.5));

  function ramp(n_steps) { // in the dark from its second colour: the first is nearly black
    const stops = VIRIDIS.slice(isDark ? 1 : 0).map(parsed);
    return Array.from({ length: n_steps }, (_, k) => {
      const place = (k / (n_steps - 1)) * (stops.length - 1), left = Math.min(Math.floor(place), stops.length - 2);
      return stops[left].map((part, j) => part + (place - left) * (stops[left + 1][j] - part));
    });
  }

  // ---- which points are raised or faded, and the order in which points are drawn ----------------

  const shuffled = new Uint32Array(n); // in the order of rows, one class would hide another
  for (let i = 0, seed = 1; i < n; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((seed / 4294967296) * (i + 1));
    shuffled[i] = shuffled[j];
    shuffled[j] = i;
  }
  const selected = new Uint8Array(n);
  let hits = null, n_selected = 0; // hits: Uint8Array of the points that the search found
  const order = new Uint32Array(n);
  let n_drawn = 0;

  // Layers from the lowest: missing, faded, normal, missing of a small group, raised.
  const N_LAYERS = 5, HIDDEN = 5;

  function setLevels() {
    const some = n_selected > 0 || hits !== null;
    const few = groups.map((group) => group.kind === "missing" && group.size < n / 20);
    const layerOf = new Uint8Array(n), next = new Uint32Array(N_LAYERS); // next place in each layer
    for (let i = 0; i < n; i++) {
      const g = groupOf[i], group = groups[g];
      if (group.hidden) { layerOf[i] = HIDDEN; continue; }
      const raised = selected[i] || (hits !== null && hits[i]);
      const level = some ? (raised ? RAISED : FADED) : NORMAL;
      looks[4 * i + 3] = (looks[4 * i + 3] & 7) + 8 * level;
      layerOf[i] = level === RAISED ? 4 : level === FADED ? 1 : group.kind !== "missing" ? 2 : few[g] ? 3 : 0;
      next[layerOf[i]]++;
    }
    n_drawn = 0;
    for (let k = 0; k < N_LAYERS; k++) { const size = next[k]; next[k] = n_drawn; n_drawn += size; }
    for (let k = 0; k < n; k++) { const row = shuffled[k]; if (layerOf[row] !== HIDDEN) order[next[layerOf[row]]++] = row; }
    painter?.looks();
    repaint();
  }

  // ---- drawing by WebGL -------------------------------------------------------------------------

  const VERTEX = `#version 300 es
    in vec2 place; in vec4 look;
    uniform vec2 middle, scale; uniform float size, opacity;
    out vec3 color; out float alpha, side, whole; flat out int mark;
    void main() {
      int bits = int(look.a * 255.0 + 0.5), level = bits / 8;
      mark = bits - 8 * level;
      color = look.rgb;
      alpha = level == 0 ? min(0.12, opacity) : level == 1 ? opacity : 1.0;
      side = max(1.0, level == 2 ? size + 1.0 : size);
      gl_Position = vec4((place - middle) * scale, 0.0, 1.0);
      gl_PointSize = whole = ceil(side * (mark == 0 ? 1.0 : 1.15)) + 1.0;
    }`;
  const FRAGMENT = `#version 300 es
    precision mediump float;
    in vec3 color; in float alpha, side, whole; flat in int mark;
    out vec4 pixel;
    void main() {
      vec2 p = (gl_PointCoord - 0.5) * 2.0 * whole / side; // the circle has radius 1
      vec2 q = abs(p);
      float d; // below 1 inside
      if (mark == 0) d = length(p);
      else if (mark == 1) d = max(q.x, q.y) * 1.13;
      else if (mark == 2) d = max(p.y / 0.75, 1.84 * q.x - p.y);
      else if (mark == 3) d = min(max(q.x, q.y * 2.6), max(q.y, q.x * 2.6));
      else if (mark == 4) d = (q.x + q.y) * 0.85;
      else if (mark == 5) d = max(-p.y / 0.75, 1.84 * q.x + p.y);
      else { vec2 r = abs(vec2(p.x + p.y, p.x - p.y)) * 0.71; d = min(max(r.x, r.y * 2.6), max(r.y, r.x * 2.6)); }
      float inside = clamp((1.0 - d) * side * 0.5 + 0.5, 0.0, 1.0) * alpha;
      if (inside <= 0.0) discard;
      pixel = vec4(color * inside, inside);
    }`;

  function newPainter() {
    const gl = canvas.getContext("webgl2", { antialias: false, depth: false, premultipliedAlpha: true });
    if (!gl) return null;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.bindAttribLocation(program, 0, "place");
    gl.bindAttribLocation(program, 1, "look");
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
    gl.useProgram(program);
    const uniforms = Object.fromEntries(["middle", "scale", "size", "opacity"].map((name) => [name, gl.getUniformLocation(program, name)]));
    const buffers = [gl.createBuffer(), gl.createBuffer(), gl.createBuffer()];
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    function fill(target, buffer, array) {
      gl.bindBuffer(target, buffer);
      gl.bufferData(target, array, gl.DYNAMIC_DRAW);
    }
    const painter = {
      places() {
        fill(gl.ARRAY_BUFFER, buffers[0], points);
        gl.enableVertexAttribArray(0);
        gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
      },
      looks() {
        fill(gl.ARRAY_BUFFER, buffers[1], looks);
        gl.enableVertexAttribArray(1);
        gl.vertexAttribPointer(1, 4, gl.UNSIGNED_BYTE, true, 0, 0);
        fill(gl.ELEMENT_ARRAY_BUFFER, buffers[2], order.subarray(0, n_drawn));
      },
      paint(done) { // calls done when the points are drawn, which the GPU does later
        const ratio = devicePixelRatio || 1, width = Math.round(area.width * ratio), height = Math.round(area.height * ratio);
        if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
        gl.viewport(0, 0, width, height);
        gl.clear(gl.COLOR_BUFFER_BIT);
        const s = pixels();
        gl.uniform2f(uniforms.middle, view.x, view.y);
        gl.uniform2f(uniforms.scale, (2 * s) / area.width, (2 * s) / area.height);
        gl.uniform1f(uniforms.size, ratio * Math.max(data.size, Math.min(9, data.size * Math.sqrt(view.zoom))));
        gl.uniform1f(uniforms.opacity, opacity);
        gl.drawElements(gl.POINTS, n_drawn, gl.UNSIGNED_INT, 0);
        const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
        const look = () => {
          if (!gl.isContextLost() && gl.getSyncParameter(fence, gl.SYNC_STATUS) !== gl.SIGNALED) { requestAnimationFrame(look); return; }
          gl.deleteSync(fence);
          done();
        };
        requestAnimationFrame(look);
      },
      end() { gl.getExtension("WEBGL_lose_context")?.loseContext(); },
    };
    painter.places();
    return painter;
  }

  let painter = null;
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => { painter = newPainter(); painter?.looks(); repaint(); });

  // ---- the view: pan and zoom -------------------------------------------------------------------
  // The last picture moves and grows at once. The points are drawn again when the pointer rests, and
  // in every frame if that is fast enough, which it is not for a million points without a GPU.

  let area = { width: 0, height: 0 };
  let view = { zoom: 1, x: middle[0], y: middle[1] }; // the point in the middle of the area
  let picture = null; // the view that is drawn
  let cost = Infinity, n_drawing = 0, frame, resting, away = false;

  const fit = () => Math.min(area.width / (2 * half[0]), area.height / (2 * half[1]));
  const pixels = (zoom = view.zoom) => zoom * fit(); // per unit of the map
  const onScreen = (x, y) => [area.width / 2 + (x - view.x) * pixels(), area.height / 2 - (y - view.y) * pixels()];
  const onMap = (left, top) => [view.x + (left - area.width / 2) / pixels(), view.y - (top - area.height / 2) / pixels()];

  function paint() {
    clearTimeout(resting);
    cancelAnimationFrame(frame);
    frame = undefined;
    if (area.width < 1 || area.height < 1) return;
    const start = performance.now();
    picture = { ...view };
    canvas.style.transform = "";
    n_drawing++;
    painter?.paint(() => { n_drawing--; cost = performance.now() - start; });
    placeNames();
  }

  function repaint() { frame ??= requestAnimationFrame(paint); }

  function stretch() {
    const s = pixels(), s0 = pixels(picture.zoom), k = s / s0;
    const x = (area.width / 2) * (1 - k) + (picture.x - view.x) * s, y = (area.height / 2) * (1 - k) - (picture.y - view.y) * s;
    canvas.style.transform = `translate(${x}px, ${y}px) scale(${k})`;
    placeNames();
  }

  function moved() {
    away = true;
    tip.hidden = true;
    frame ??= requestAnimationFrame(() => {
      frame = undefined;
      if (!picture || (cost < QUICK && n_drawing === 0)) paint();
      else stretch();
    });
    clearTimeout(resting);
    resting = setTimeout(paint, Math.max(REST, Math.min(LONG, cost / 2))); // a slow drawing waits longer
  }

  function shift(dx, dy) {
    view.x -= dx / pixels();
    view.y += dy / pixels();
    moved();
  }

  function zoomBy(factor, left = area.width / 2, top = area.height / 2) {
    const [x, y] = onMap(left, top), zoom = Math.max(0.2, Math.min(1e5, view.zoom * factor)), k = view.zoom / zoom;
    view = { zoom, x: x + (view.x - x) * k, y: y + (view.y - y) * k };
    moved();
  }

  function goHome() {
    view = { zoom: 1, x: middle[0], y: middle[1] };
    moved();
    away = false;
  }

  function resized() {
    const { clientWidth: width, clientHeight: height } = map;
    if (width === area.width && height === area.height) return;
    area = { width, height };
    tip.hidden = true; // its place was in the other size
    Object.assign(canvas.style, { width: width + "px", height: height + "px" });
    paint();
  }

  // ---- the nearest point, by a grid -------------------------------------------------------------

  let grid = null;

  // Rows sorted by key: rows[starts[k]] .. rows[starts[k + 1] - 1] have key k, negative keys are left out.
  function rowsByKey(keys, n_keys) {
    const starts = new Uint32Array(n_keys + 1), rows = new Uint32Array(n);
    for (let i = 0; i < n; i++) if (keys[i] >= 0) starts[keys[i] + 1]++;
    for (let k = 0; k < n_keys; k++) starts[k + 1] += starts[k];
    const next = starts.slice();
    for (let i = 0; i < n; i++) if (keys[i] >= 0) rows[next[keys[i]]++] = i;
    return { starts, rows };
  }

  function makeGrid() {
    const side = Math.max(1, Math.min(2048, Math.round(Math.sqrt(n / 4)))), cells = new Uint32Array(n);
    const index = (value, axis) => Math.max(0, Math.min(side - 1, Math.floor(((value - middle[axis]) / half[axis] + 1) / 2 * side)));
    for (let i = 0; i < n; i++) cells[i] = index(points[2 * i + 1], 1) * side + index(points[2 * i], 0);
    return { side, index, ...rowsByKey(cells, side * side) };
  }

  function nearest(left, top, reach = 12) {
    const [x, y] = onMap(left, top), radius = reach / pixels();
    const { side, starts, rows, index } = (grid ??= makeGrid());
    let best = -1, least = radius * radius;
    for (let v = index(y - radius, 1); v <= index(y + radius, 1); v++) {
      for (let u = index(x - radius, 0); u <= index(x + radius, 0); u++) {
        for (let k = starts[v * side + u]; k < starts[v * side + u + 1]; k++) {
          const row = rows[k], distance = (points[2 * row] - x) ** 2 + (points[2 * row + 1] - y) ** 2;
          if (distance < least && !groups[groupOf[row]].hidden) { least = distance; best = row; }
        }
      }
    }
    return best;
  }

  // ---- tips over points -------------------------------------------------------------------------

  function describe(row) {
    const head = column ? readable(column, row) || "missing" : "";
    const lines = columns.filter((one) => one !== column).slice(0, 14).map((one) => (one.bare ? cell(one, row) : `${one.name}: ${readable(one, row)}`));
    if (!head && lines.length === 0 && !data.thumbnails) lines.push("row " + row);
    return [column?.values ? `${column.name}: ${head}` : head, lines.join("\n")];
  }

  function showThumbnail(element, row) {
    const { sheets, rows, columns: across, height, width } = data.thumbnails;
    const place = row % (rows * across), sheet = Math.floor(row / (rows * across));
    const k = Math.max(1, Math.round(112 / Math.max(height, width)));
    const total = Math.ceil(Math.min(rows * across, n - sheet * rows * across) / across);
    Object.assign(element.style, {
      width: width * k + "px",
      height: height * k + "px",
      backgroundImage: `url(data:image/png;base64,${sheets[sheet]})`,
      backgroundSize: `${across * width * k}px ${total * height * k}px`,
      backgroundPosition: `${-(place % across) * width * k}px ${-Math.floor(place / across) * height * k}px`,
    });
  }

  function showTip(row, left, top) {
    const [name, text, image] = tip.children;
    [name.textContent, text.textContent] = describe(row);
    if (data.thumbnails) showThumbnail(image, row);
    tip.style.borderLeftColor = hex([...looks.subarray(4 * row, 4 * row + 3)]);
    tip.hidden = false;
    const box = map.getBoundingClientRect(), base = root.getBoundingClientRect();
    const x = box.left - base.left + left, y = box.top - base.top + top;
    const beside = (place, size, room) => Math.max(4, place + 16 + size < room - 4 ? place + 16 : place - 16 - size);
    tip.style.left = beside(x, tip.offsetWidth, base.width) + "px";
    tip.style.top = beside(y, tip.offsetHeight, base.height) + "px";
  }

  // ---- names of classes on the map --------------------------------------------------------------

  let anchors = null, showNames = true;
  const pool = [], ruler = document.createElement("canvas").getContext("2d");

  // The median of points, or if few of them are near it, the densest place: a point with most others
  // in the 3 x 3 cells around it, of SIDE x SIDE cells of the map.
  function anchorOf(x, y) {
    const SIDE = 24, cells = new Map();
    const median = [x, y].map((values) => Float32Array.from(values).sort()[values.length >> 1]);
    const index = (value, axis) => Math.floor(((value - middle[axis]) / Math.max(...half) + 1) / 2 * SIDE);
    const key = (u, v) => 1000 * (u + 1) + v + 1;
    const u = x.map((value) => index(value, 0)), v = y.map((value) => index(value, 1));
    u.forEach((_, k) => { const at = key(u[k], v[k]); cells.set(at, (cells.get(at) ?? 0) + 1); });
    function around(a, b) {
      let sum = 0;
      for (let da = -1; da < 2; da++) for (let db = -1; db < 2; db++) sum += cells.get(key(a + da, b + db)) ?? 0;
      return sum;
    }
    const at_median = around(index(median[0], 0), index(median[1], 1));
    let most = 0, densest = 0;
    u.forEach((_, k) => { const sum = around(u[k], v[k]); if (sum > most) { most = sum; densest = k; } });
    return at_median < 0.25 * most ? [x[densest], y[densest]] : median;
  }

  function makeAnchors() {
    const { codes, names, short } = column, made = [];
    const { starts, rows } = rowsByKey(codes, names.length);
    const groupOfCode = new Map(groups.map((group, k) => [group.code, k])), others = groups.length - 2;
    ruler.font = "600 13px system-ui, sans-serif";
    for (let code = 0; code < names.length; code++) {
      const size = starts[code + 1] - starts[code], step = Math.ceil(size / 1500), x = [], y = [];
      if (size === 0) continue;
      for (let k = starts[code]; k < starts[code + 1]; k += step) { x.push(points[2 * rows[k]]); y.push(points[2 * rows[k] + 1]); }
      const text = short[code].length <= NAME_LENGTH ? short[code] : `${short[code].slice(0, 15).trimEnd()}…${short[code].slice(-8).trimStart()}`;
      made.push({ size, text, place: anchorOf(x, y), width: 0, group: groupOfCode.get(code) ?? others });
    }
    return made.sort((a, b) => b.size - a.size);
  }

  function placeNames() {
    const placed = [];
    if (showNames && column?.codes) {
      const HEIGHT = 18;
      let room = NAMES_COVER * area.width * area.height;
      for (const anchor of (anchors ??= makeAnchors())) {
        if (groups[anchor.group].hidden) continue;
        const [x, y] = onScreen(...anchor.place);
        if (x < 0 || y < 0 || x > area.width || y > area.height) continue;
        anchor.width ||= ruler.measureText(anchor.text).width + 8;
        const left = Math.max(2, Math.min(area.width - anchor.width - 2, x - anchor.width / 2));
        const lift = [0, -HEIGHT, HEIGHT, -2 * HEIGHT, 2 * HEIGHT].find((dy) => {
          const top = y - HEIGHT / 2 + dy;
          return top >= 0 && top + HEIGHT <= area.height && placed.every((other) => left >= other.right || anchor.width + left <= other.left || top >= other.bottom || top + HEIGHT <= other.top);
        });
        room -= anchor.width * HEIGHT;
        if (room < 0 || placed.length >= 150) break;
        if (lift === undefined) { room += anchor.width * HEIGHT; continue; }
        const top = y - HEIGHT / 2 + lift;
        placed.push({ anchor, left, top, right: left + anchor.width, bottom: top + HEIGHT });
      }
    }
    placed.forEach(({ anchor, left, top }, k) => {
      const span = (pool[k] ??= nameLayer.appendChild(make("span")));
      span.hidden = false;
      if (span.textContent !== anchor.text) span.textContent = anchor.text;
      span.style.transform = `translate(${left}px, ${top}px)`;
      span.style.width = anchor.width + "px";
      span.style.textDecorationColor = colorOf(groups[anchor.group]);
    });
    for (let k = placed.length; k < pool.length; k++) pool[k].hidden = true;
  }

  // ---- legend -----------------------------------------------------------------------------------

  const SHAPES = ["circle(50%)", "inset(6%)", "polygon(50% 5%, 100% 92%, 0 92%)", "polygon(32% 0, 68% 0, 68% 32%, 100% 32%, 100% 68%, 68% 68%, 68% 100%, 32% 100%, 32% 68%, 0 68%, 0 32%, 32% 32%)",
    "polygon(50% 0, 100% 50%, 50% 100%, 0 50%)", "polygon(50% 95%, 100% 8%, 0 8%)", "polygon(20% 0, 50% 30%, 80% 0, 100% 20%, 70% 50%, 100% 80%, 80% 100%, 50% 70%, 20% 100%, 0 80%, 30% 50%, 0 20%)"];

  function writeLegend() {
    legend.replaceChildren();
    if (scale) {
      const stops = ramp(12).map(hex).reverse().join(", ");
      const high = (scale.above ? "≥ " : "") + rounded(scale.high), low = (scale.below ? "≤ " : "") + rounded(scale.low);
      legend.append(
        make("h2", { textContent: column.name }),
        make("div", { className: "scale", role: "img", "aria-label": `Colours of ${column.name} from ${low} to ${high}` },
          make("div", { className: "bar", style: `--stops: ${stops}` }),
          make("div", { className: "ticks" }, ...[high, rounded(scale.low / 2 + scale.high / 2), low].map((textContent) => make("span", { textContent })))));
    } else if (column) {
      legend.append(make("h2", { textContent: column.name }));
    }
    for (const group of groups) {
      if (group.size === 0 || group.name === "") continue;
      const swatch = make("i", { style: `background: ${colorOf(group)}; clip-path: ${SHAPES[group.symbol ?? 0]}` });
      const entry = make("button", { type: "button", className: "entry", "aria-label": `${group.name}, ${count(group.size)} points`, title: "Hide or show; double click or Shift shows it alone" },
        swatch, make("span", { textContent: group.name }), make("small", { textContent: count(group.size) }));
      entry.onclick = (event) => { if (event.shiftKey) alone(group); else { group.hidden = !group.hidden; shownChanged(); } };
      entry.ondblclick = (event) => { if (!event.shiftKey) alone(group); };
      group.entry = entry;
      legend.append(entry);
    }
    legend.hidden = able.length === 0; // else the map would change its size with the colour
    shownChanged(false);
  }

  function alone(group) { // or all, if it is alone already
    const others = groups.filter((one) => one !== group && one.size > 0);
    const hide = others.some((one) => !one.hidden);
    for (const one of others) one.hidden = hide;
    group.hidden = false;
    shownChanged();
  }

  function shownChanged(draws = true) {
    for (const group of groups) group.entry?.setAttribute("aria-pressed", String(!group.hidden));
    if (draws) setLevels();
    if (draws && hits) lookFor();
  }

  // ---- search -----------------------------------------------------------------------------------

  let waiting;
  const texts = columns.filter((one) => one.names);

  function lookFor() {
    const wanted = search.value.trim().toLowerCase();
    const searched = within.value === "" ? texts : [columns[Number(within.value)]];
    hits = wanted === "" ? null : new Uint8Array(n);
    for (const one of hits ? searched : []) {
      const match = Uint8Array.from(one.names, (text) => (text !== null && text.toLowerCase().includes(wanted) ? 1 : 0));
      for (let i = 0; i < n; i++) if (one.codes ? one.codes[i] >= 0 && match[one.codes[i]] : match[i]) hits[i] = 1;
    }
    let k = 0;
    if (hits) for (let i = 0; i < n; i++) if (hits[i]) { if (groups[groupOf[i]].hidden) hits[i] = 0; else k++; }
    found.textContent = hits ? count(k) + " found" : "";
    takeFound.hidden = k === 0;
    setLevels();
  }

  // ---- selection --------------------------------------------------------------------------------

  const listeners = new Set();

  function rowsOf(mask) {
    const rows = [];
    for (let i = 0; i < n; i++) if (mask[i]) rows.push(i);
    return rows;
  }

  const selection = () => rowsOf(selected);

  function select(rows) {
    selected.fill(0);
    for (const row of rows) if (row >= 0 && row < n) selected[row] = 1;
    n_selected = selected.reduce((sum, one) => sum + one, 0);
    status.textContent = `${count(n_selected)} of ${count(n)} points selected`;
    for (const action of actions) action.disabled = n_selected === 0;
    setLevels();
  }

  function choose(rows, how = "new") { // by the user: "new", "add" or "remove"
    if (how !== "new") {
      const kept = new Set(selection());
      for (const row of rows) if (how === "add") kept.add(row); else kept.delete(row);
      rows = kept;
    }
    select(rows);
    const now = selection();
    for (const listener of listeners) listener(now);
  }

  function inside(polygon) { // rows of shown points in a polygon of the screen
    const at = polygon.map(([left, top]) => onMap(left, top)), rows = [];
    const xs = at.map((p) => p[0]), ys = at.map((p) => p[1]);
    const box = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    for (let i = 0; i < n; i++) {
      const x = points[2 * i], y = points[2 * i + 1];
      if (x < box[0] || x > box[1] || y < box[2] || y > box[3] || groups[groupOf[i]].hidden) continue;
      let odd = false;
      for (let k = 0, j = at.length - 1; k < at.length; j = k++) {
        if (ys[k] > y !== ys[j] > y && x < ((xs[j] - xs[k]) * (y - ys[k])) / (ys[j] - ys[k]) + xs[k]) odd = !odd;
      }
      if (odd) rows.push(i);
    }
    return rows;
  }

  const viewCorners = () => [[0, 0], [area.width, 0], [area.width, area.height], [0, area.height]];

  function table(separator) {
    const quoted = (text) => (/["\r\n]/.test(text) || text.includes(separator) ? `"${text.replaceAll('"', '""')}"` : text);
    const lines = [["row", "tsne0", "tsne1", ...columns.map((one) => one.name)]];
    for (const row of selection()) lines.push([String(row), coordinate(row, 0), coordinate(row, 1), ...columns.map((one) => cell(one, row))]);
    return lines.map((line) => line.map(quoted).join(separator) + "\r\n").join("");
  }

  async function copy() {
    const text = table("\t");
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch { // not allowed, or not there: the old way
      const field = make("textarea", { value: text, className: "copied" });
      root.append(field);
      field.select();
      done = document.execCommand("copy");
      field.remove();
    }
    status.textContent = done ? `${count(n_selected)} rows copied` : "The browser does not allow copying; use Download";
  }

  function download() {
    const url = URL.createObjectURL(new Blob([table(",")], { type: "text/csv;charset=utf-8" }));
    const link = make("a", { href: url, download: "selected.csv" });
    root.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
    status.textContent = `${count(n_selected)} rows downloaded as selected.csv`;
  }

  // ---- mouse, touch and keyboard ----------------------------------------------------------------

  let mode = "pan", drag = null;
  const fingers = new Map();

  function setPressed() {
    for (const [name, element] of Object.entries(modes)) element.setAttribute("aria-pressed", String(name === mode));
    namesSwitch.setAttribute("aria-pressed", String(showNames));
    darkSwitch.setAttribute("aria-pressed", String(isDark));
  }

  function setMode(name) {
    mode = name;
    map.dataset.mode = name;
    setPressed();
  }

  const pointerAt = (event) => { const box = map.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const trace = (polygon) => outline.setAttribute("d", polygon.length ? "M" + polygon.map((p) => p.join(" ")).join("L") + "Z" : "");
  const boxOf = ([[a, b], [c, d]]) => [[a, b], [c, b], [c, d], [a, d]];

  map.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    fingers.set(event.pointerId, pointerAt(event));
    map.setPointerCapture(event.pointerId);
    tip.hidden = true;
    if (fingers.size > 1) { drag = null; trace([]); return; }
    const how = event.shiftKey ? "add" : event.altKey ? "remove" : "new";
    drag = { mode, how, path: [pointerAt(event)] };
  });

  map.addEventListener("pointermove", (event) => {
    const now = pointerAt(event), before = fingers.get(event.pointerId);
    if (!before) { if (event.pointerType !== "touch") hover(now); return; }
    if (fingers.size === 2) { // two fingers move and zoom
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
      shift((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
      zoomBy(distance(now, other) / Math.max(1, distance(before, other)), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else if (drag?.mode === "pan") {
      drag.moved = true;
      shift(now[0] - before[0], now[1] - before[1]);
    } else if (drag?.mode === "lasso") {
      const last = drag.path.at(-1);
      if (Math.hypot(now[0] - last[0], now[1] - last[1]) > 2) drag.path.push(now);
      trace(drag.path);
    } else if (drag) {
      drag.path[1] = now;
      trace(boxOf(drag.path));
    }
    fingers.set(event.pointerId, now);
  });

  map.addEventListener("pointerup", (event) => {
    if (fingers.delete(event.pointerId) && drag && drag.mode !== "pan") {
      const polygon = drag.mode === "lasso" ? drag.path : drag.path.length === 2 ? boxOf(drag.path) : [];
      trace([]);
      if (polygon.length > 2) choose(inside(polygon), drag.how);
    } else if (drag?.mode === "pan" && event.pointerType === "touch" && !drag.moved) {
      hover(pointerAt(event));
    }
    drag = null;
  });
  map.addEventListener("pointercancel", (event) => { fingers.delete(event.pointerId); drag = null; trace([]); });
  map.addEventListener("pointerleave", () => { tip.hidden = true; });
  map.addEventListener("wheel", (event) => {
    event.preventDefault();
    const delta = event.deltaY * (event.deltaMode === 1 ? 20 : 1);
    zoomBy(Math.exp(-Math.max(-200, Math.min(200, delta)) / 400), ...pointerAt(event));
  }, { passive: false });
  map.addEventListener("dblclick", () => { if (mode === "pan") goHome(); });

  function hover([left, top]) {
    const row = nearest(left, top);
    if (row < 0) tip.hidden = true;
    else showTip(row, left, top);
  }

  let reading = -1;
  function read(step) { // the next point of the selection, or of those in view, as text
    const rows = n_selected ? selection() : inside(viewCorners());
    if (rows.length === 0) return;
    const k = rows.indexOf(reading);
    reading = rows[k < 0 ? (step > 0 ? 0 : rows.length - 1) : (k + step + rows.length) % rows.length];
    showTip(reading, ...onScreen(points[2 * reading], points[2 * reading + 1]));
    status.textContent = [`Row ${reading}`, ...describe(reading)].filter(Boolean).join("; ");
  }

  const KEYS = {
    ArrowLeft: () => shift(60, 0), ArrowRight: () => shift(-60, 0), ArrowUp: () => shift(0, 60), ArrowDown: () => shift(0, -60),
    "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: goHome, Home: goHome,
    Enter: (event) => choose(inside(viewCorners()), event.shiftKey ? "add" : "new"),
    Escape: () => { tip.hidden = true; if (drag) { drag = null; trace([]); } else choose([]); },
    n: () => read(1), p: () => read(-1),
  };
  map.addEventListener("keydown", (event) => {
    if (!KEYS[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    KEYS[event.key](event);
  });

  // ---- start ------------------------------------------------------------------------------------

  function wearTheme() {
    root.dataset.theme = isDark ? "dark" : "light";
    if (options.page) document.documentElement.style.colorScheme = root.dataset.theme;
  }

  function setTheme() {
    wearTheme();
    setPressed();
    writeLegend();
    paintColors();
  }

  const followSystem = () => { if (!userDark) { isDark = system.matches; setTheme(); } };
  system.addEventListener("change", followSystem);
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(lookFor, 200); });
  within.addEventListener("change", lookFor);
  colorChoice.addEventListener("change", () => setColumn(colorChoice.value === "" ? null : columns[Number(colorChoice.value)].name));

  function fill(choice, all, first) {
    choice.append(make("option", { value: "", textContent: first }));
    for (const one of all) choice.append(make("option", { value: String(columns.indexOf(one)), textContent: one.name }));
  }
  fill(colorChoice, able, "one colour");
  fill(within, texts, "all texts");
  colorChoice.parentElement.hidden = able.length === 0;
  search.parentElement.hidden = texts.length === 0;
  within.hidden = texts.length < 2;
  takeFound.hidden = tip.hidden = true;
  map.setAttribute("aria-label", `Map of ${count(n)} points. Arrow keys move, plus and minus zoom, 0 shows all, Enter selects the points in view, n and p read points, Escape clears.`);
  container.append(root);
  painter = newPainter();
  if (!painter) map.append(make("p", { className: "failed", role: "alert", textContent: "The points cannot be drawn: this browser has no WebGL 2." }));
  wearTheme();
  setMode("pan");
  setColumn(data.color);
  select([]);
  const observer = new ResizeObserver(resized);
  observer.observe(map);
  resized();
  const preparing = setTimeout(() => { grid ??= makeGrid(); }, 1000); // before the first pointer, or by it

  return {
    select, // programs' selections do not call the listeners
    selection,
    onSelect(callback) { listeners.add(callback); return () => listeners.delete(callback); },
    colorBy: setColumn,
    move(x, y) { // new coordinates, in a window around them
      const low = [Infinity, Infinity], high = [-Infinity, -Infinity], next = new Float32Array(2 * n), old = { middle, half };
      [x, y].forEach((values, axis) => {
        for (let i = 0; i < n; i++) {
          const value = (next[2 * i + axis] = values[i]);
          if (value < low[axis]) low[axis] = value;
          if (value > high[axis]) high[axis] = value;
        }
      });
      const longest = Math.max(high[0] - low[0], high[1] - low[1]) || 1;
      [points, origin, unit, grid, anchors] = [next, [0, 0], 1, null, null];
      middle = [0, 1].map((axis) => (low[axis] + high[axis]) / 2);
      half = [0, 1].map((axis) => Math.max((high[axis] - low[axis]) / 2, 0.07 * longest) + 0.03 * longest);
      const k = Math.max(...half) / Math.max(...old.half);
      view = away ? { zoom: view.zoom, x: middle[0] + (view.x - old.middle[0]) * k, y: middle[1] + (view.y - old.middle[1]) * k } : { zoom: 1, x: middle[0], y: middle[1] };
      painter?.places();
      repaint();
    },
    place(x, y) { // where a point of the map is, in pixels of the window
      const box = map.getBoundingClientRect(), at = onScreen((x - origin[0]) / unit, (y - origin[1]) / unit);
      return [box.left + at[0], box.top + at[1]];
    },
    destroy() {
      observer.disconnect();
      system.removeEventListener("change", followSystem);
      for (const timer of [preparing, resting, waiting]) clearTimeout(timer);
      cancelAnimationFrame(frame);
      listeners.clear();
      painter?.end();
      root.remove();
    },
  };

  function STYLE() {
    return `
.fasttsne { --ground: #fff; --ink: #1a1a1a; --quiet: #595959; --line: #c4c4c4; --field: #fff; --press: #dbe7ff; --mark: #1d4ed8;
  position: relative; container-type: inline-size; display: flex; flex-direction: column; height: 100%; box-sizing: border-box; color: var(--ink); background: var(--ground); font: 14px/1.35 system-ui, sans-serif; color-scheme: light; }
.fasttsne[data-theme=dark] { --ground: #15171a; --ink: #ececec; --quiet: #a9adb3; --line: #4b5057; --field: #22262b; --press: #2b4170; --mark: #8ab4ff; color-scheme: dark; }
.fasttsne *, .fasttsne *::before { box-sizing: border-box; }
.fasttsne [hidden] { display: none !important; }
.fasttsne .tools { display: flex; flex-wrap: wrap; gap: 6px 14px; align-items: center; padding: 8px 12px 6px; }
.fasttsne h1 { font-size: 17px; font-weight: bold; line-height: 1.3; margin: 0; max-height: 4em; overflow: auto; unicode-bidi: isolate; overflow-wrap: anywhere; }
.fasttsne h2 { font-size: 13px; font-weight: bold; margin: 0 0 4px; unicode-bidi: isolate; overflow-wrap: anywhere; }
.fasttsne .group { display: flex; flex-wrap: wrap; gap: 4px; align-items: center; }
.fasttsne label.group { gap: 6px; }
.fasttsne :is(button, select, input) { font: inherit; color: inherit; background: var(--field); border: 1px solid var(--line); border-radius: 5px; padding: 3px 8px; margin: 0; min-height: 28px; }
.fasttsne select { max-width: 12em; }
.fasttsne .search { width: 11em; }
.fasttsne button { cursor: pointer; }
.fasttsne button:disabled { cursor: default; color: var(--quiet); opacity: 0.6; }
.fasttsne .tools button[aria-pressed=true] { background: var(--press); border-color: var(--mark); }
.fasttsne :focus-visible { outline: 2px solid var(--mark); outline-offset: 1px; }
.fasttsne .found, .fasttsne .count { color: var(--quiet); font-variant-numeric: tabular-nums; }
.fasttsne .found:empty { margin-right: -8px; }
.fasttsne .middle { flex: 1; min-height: 0; display: flex; }
.fasttsne .map { position: relative; flex: 1; min-width: 0; min-height: 0; overflow: hidden; touch-action: none; cursor: grab; user-select: none; -webkit-user-select: none; }
.fasttsne .map:focus-visible { outline-offset: -2px; }
.fasttsne .map:is([data-mode=lasso], [data-mode=box]) { cursor: crosshair; }
.fasttsne .map canvas { position: absolute; left: 0; top: 0; transform-origin: 0 0; }
.fasttsne .map svg { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
.fasttsne .map path { fill: var(--mark); fill-opacity: 0.12; stroke: var(--mark); stroke-width: 1.5; fill-rule: evenodd; }
.fasttsne .names { position: absolute; inset: 0; pointer-events: none; }
.fasttsne .names span { position: absolute; left: 0; top: 0; height: 18px; overflow: hidden; font: 600 13px/18px system-ui, sans-serif; text-align: center; white-space: pre; unicode-bidi: isolate;
  text-decoration: underline 3px; text-underline-offset: 2px; text-decoration-skip-ink: none;
  text-shadow: 0 0 2px var(--ground), 0 0 2px var(--ground), 0 0 3px var(--ground), 0 0 3px var(--ground), 0 0 4px var(--ground); }
.fasttsne .legend { flex: none; width: min(13em, 30%); overflow: auto; padding: 4px 10px; }
.fasttsne .entry { display: flex; gap: 7px; align-items: center; width: 100%; min-height: 22px; padding: 1px 4px; border-color: transparent; background: none; text-align: left; font-size: 13px; }
.fasttsne .entry i { flex: none; width: 11px; height: 11px; }
.fasttsne .entry span { flex: 1; unicode-bidi: isolate; overflow-wrap: anywhere; }
.fasttsne .entry small { color: var(--quiet); font-variant-numeric: tabular-nums; }
.fasttsne .entry[aria-pressed=false] { opacity: 0.45; text-decoration: line-through; }
.fasttsne .scale { display: flex; gap: 6px; height: 220px; max-height: 60vh; margin-bottom: 8px; }
.fasttsne .bar { width: 14px; border-radius: 2px; background: linear-gradient(to bottom, var(--stops)); }
.fasttsne .ticks { display: flex; flex-direction: column; justify-content: space-between; font-size: 12px; font-variant-numeric: tabular-nums; }
.fasttsne .selected { display: flex; flex-wrap: wrap; gap: 6px 8px; align-items: center; padding: 6px 12px 8px; border-top: 1px solid var(--line); }
.fasttsne .count { flex: 1; min-width: 12em; unicode-bidi: isolate; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.fasttsne .tip { position: absolute; pointer-events: none; z-index: 9; max-width: min(24em, 90%); padding: 7px 10px; background: var(--field); border: 1px solid var(--line); border-left-width: 5px; border-radius: 4px; box-shadow: 0 2px 8px rgb(0 0 0 / 25%); overflow-wrap: anywhere; }
.fasttsne .tip b { display: block; max-height: 5.4em; overflow: hidden; unicode-bidi: isolate; }
.fasttsne .tip span { display: block; white-space: pre-line; max-height: 19em; overflow: hidden; unicode-bidi: plaintext; }
.fasttsne .tip i { display: block; margin-top: 5px; image-rendering: pixelated; background-repeat: no-repeat; }
.fasttsne .copied { position: fixed; left: 0; top: 0; width: 1px; height: 1px; opacity: 0; }
.fasttsne .failed { padding: 1em; }
@container (max-width: 640px) {
  .fasttsne .middle { flex-direction: column; }
  .fasttsne .legend { width: auto; max-height: 26%; display: flex; flex-wrap: wrap; align-content: flex-start; gap: 0 4px; padding: 4px 8px; }
  .fasttsne .legend h2 { width: 100%; }
  .fasttsne .entry { width: auto; max-width: 100%; }
  .fasttsne .scale { flex-direction: column; width: 100%; height: auto; }
  .fasttsne .bar { width: 100%; height: 12px; background: linear-gradient(to left, var(--stops)); }
  .fasttsne .ticks { flex-direction: row-reverse; }
  .fasttsne .count { flex: 1 0 100%; }
  .fasttsne .selected { padding: 5px 8px 6px; }
  .fasttsne .tools { gap: 5px 8px; padding: 6px 8px; }
  .fasttsne .search { width: 9em; }
  .fasttsne select { max-width: 9em; }
}`;
  }
}
