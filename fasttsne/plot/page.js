// One WebGL trace per class, a tip over points, a search.
"use strict";
(() => {
  window.open = () => null; // no part of plotly opens a window
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const points = new Float32Array(bytes(data.points));
  const n = points.length / 2;
  const codes = data.codes ? new Int32Array(bytes(data.codes)) : null;
  const values = data.values ? new Float32Array(bytes(data.values)) : null;
  // Plotly parses names as markup; escaped, they are shown literally.
  const plain = (text) => text.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);

  // ---- traces: which points each has, in order ------------------------------------------------

  function groups() {
    if (values) {
      const known = [], missing = [];
      for (let i = 0; i < n; i++) (Number.isNaN(values[i]) ? missing : known).push(i);
      return [{ rows: missing, color: data.missing, name: "missing", rank: 1002 }, { rows: known, name: "" }];
    }
    if (data.names.length === 0) {
      const nameless = data.shown ? { color: data.missing, name: "missing" } : { color: data.colors[0], name: "" };
      return [{ rows: Array.from({ length: n }, (_, i) => i), ...nameless }];
    }
    const others = { rows: [], color: "#777777", name: "", rank: 1001 }, missing = { rows: [], color: data.missing, name: "missing", rank: 1002 };
    const own = new Map(data.shown.map((k) => [k, { rows: [], color: data.colors[k], symbol: data.symbols[k], name: data.short[k] }]));
    for (let i = 0; i < n; i++) (codes[i] < 0 ? missing : own.get(codes[i]) ?? others).rows.push(i);
    others.name = (data.names.length - own.size).toLocaleString("en") + " smaller classes";
    return [missing, others, ...own.values()];
  }

  const shownGroups = groups().filter((group) => group.rows.length > 0);
  if (shownGroups[0].rank === 1002 && shownGroups[0].rows.length < n / 20) shownGroups.push(shownGroups.shift()); // few are drawn last
  const opacity = n > 200000 ? 0.5 : n > 20000 ? 0.65 : 0.8;

  function trace({ rows, color, symbol, name, rank = 1000 }) {
    const x = new Float32Array(rows.length), y = new Float32Array(rows.length);
    rows.forEach((row, i) => { x[i] = points[2 * row]; y[i] = points[2 * row + 1]; });
    const marker = { size: data.size, opacity, color, symbol: symbol ?? "circle" };
    if (values && color === undefined) {
      marker.color = Float32Array.from(rows, (row) => values[row]);
      Object.assign(marker, { colorscale: "Viridis", colorbar: {
        thickness: 14, len: 0.6, outlinewidth: 0, title: { text: plain(data.quantity), side: "right" },
      } });
    }
    return { type: "scattergl", mode: "markers", x, y, marker, name: plain(name), hoverinfo: "none", legendrank: rank, showlegend: name !== "" };
  }

  const [home, axis] = [(k) => [-data.half[k], data.half[k]], { visible: false, zeroline: false }];
  // Beside the map, or below it on a narrow screen.
  const legend = () => ({
    itemsizing: "constant", font: { size: 13 }, tracegroupgap: 0,
    ...(innerWidth < 600 ? { orientation: "h", x: 0, y: 0, yanchor: "top" } : { orientation: "v", x: 1.02, y: 1, yanchor: "top" }),
  });
  const margin = () => ({ l: 8, r: 8, t: innerWidth < 600 ? 4 : 34, b: 8 }); // a legend is below the buttons
  const layout = {
    xaxis: { ...axis, range: home(0) },
    yaxis: { ...axis, range: home(1), scaleanchor: "x" },
    margin: margin(),
    dragmode: "pan",
    hovermode: "closest",
    hoverdistance: 12,
    showlegend: shownGroups.some((group) => group.name !== ""),
    legend: legend(),
    uirevision: "kept",
  };
  // Named one by one: versions of plotly add buttons, of which one uploads the map.
  const config = { scrollZoom: false, doubleClick: false, displaylogo: false,
    modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]], showSendToCloud: false, plotlyServerURL: "" };
  const found = { type: "scattergl", mode: "markers", x: [], y: [], hoverinfo: "skip", showlegend: false,
    marker: { size: data.size + 1.5, color: [], symbol: [], opacity: 1 } };
  const map = byId("map");
  const drawn = Plotly.newPlot(map, [...shownGroups.map(trace), found], layout, config);

  // ---- tips over points -----------------------------------------------------------------------

  function className(row) {
    if (values) return Number.isNaN(values[row]) ? "missing" : String(Number(values[row].toPrecision(6)));
    if (!data.shown) return "";
    return codes[row] < 0 ? "missing" : data.names[codes[row]];
  }

  function showThumbnail(element, row) {
    const { sheets, rows, columns, height, width } = data.thumbnails;
    const place = row % (rows * columns), sheet = Math.floor(row / (rows * columns));
    const scale = Math.max(1, Math.round(112 / Math.max(height, width)));
    const total = Math.ceil(Math.min(rows * columns, n - sheet * rows * columns) / columns);
    Object.assign(element.style, {
      width: width * scale + "px",
      height: height * scale + "px",
      backgroundImage: `url(data:image/png;base64,${sheets[sheet]})`,
      backgroundSize: `${columns * width * scale}px ${total * height * scale}px`,
      backgroundPosition: `${-(place % columns) * width * scale}px ${-Math.floor(place / columns) * height * scale}px`,
    });
  }

  const tip = byId("tip");
  function showTip(point, mouse) {
    const group = shownGroups[point.curveNumber], row = group.rows[point.pointIndex ?? point.pointNumber];
    const [name, text, image] = tip.children;
    name.textContent = className(row);
    text.textContent = data.hover ? data.hover[row] : data.thumbnails || name.textContent ? "" : "point " + (row + 1);
    if (data.thumbnails) showThumbnail(image, row);
    tip.style.borderLeftColor = group.color ?? "#888888";
    tip.style.display = "block";
    const left = mouse.clientX + 16, top = mouse.clientY + 16;
    tip.style.left = Math.max(4, Math.min(left, innerWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = Math.max(4, Math.min(top, innerHeight - tip.offsetHeight - 8)) + "px";
  }

  const homeView = () => ({ "xaxis.range": home(0), "yaxis.range": home(1) });
  let away = false, resizing; // whether a hand has moved the map
  drawn.then(() => {
    map.on("plotly_hover", (event) => showTip(event.points[0], event.event));
    map.on("plotly_unhover", () => { tip.style.display = "none"; });
    map.on("plotly_legendclick", () => { setTimeout(search, 400); });
    addEventListener("resize", () => {
      clearTimeout(resizing);
      resizing = setTimeout(() => Plotly.relayout(map, { autosize: true, legend: legend(), margin: margin(), ...(away ? {} : homeView()) }), 100);
    });
    document.body.dataset.ready = "yes";
  });

  // ---- pan and zoom ---------------------------------------------------------------------------
  // The last picture moves and grows at once. The points are drawn again when the pointer rests, and
  // in every frame if that is fast enough, which it is not for a million points everywhere.

  const QUICK = 60, REST = 150; // milliseconds
  let view = { scale: 1, x: 0, y: 0 }; // pixel p of the picture is shown at scale * p + [x, y]
  let cost = Infinity, resting, drawing = false, frame, dragged;

  function area() {
    const { _size, xaxis, yaxis } = map._fullLayout;
    return { left: _size.l, top: _size.t, width: xaxis._length, height: yaxis._length };
  }

  function showView() {
    const picture = map.querySelector(".gl-container"), { left, top, width, height } = area();
    const still = view.scale === 1 && view.x === 0 && view.y === 0;
    const { scale, x, y } = view, box = [-x / scale, -y / scale, (width - x) / scale, (height - y) / scale];
    Object.assign(picture.style, {
      transformOrigin: `${left}px ${top}px`,
      transform: still ? "" : `translate(${x}px, ${y}px) scale(${scale})`,
      // Keep the picture inside the plot's area.
      clipPath: still ? "" : `polygon(${[[0, 1], [2, 1], [2, 3], [0, 3]].map(([i, j]) => `${left + box[i]}px ${top + box[j]}px`)})`,
    });
  }

  async function drawView() {
    if (drawing) return;
    drawing = away = true;
    clearTimeout(resting);
    const start = performance.now(), taken = { ...view }, { width, height } = area();
    const { xaxis, yaxis } = map._fullLayout;
    const between = (axis, ...pixels) => pixels.map((pixel) => axis.p2d(pixel));
    await Plotly.relayout(map, {
      "xaxis.range": between(xaxis, -taken.x / taken.scale, (width - taken.x) / taken.scale),
      "yaxis.range": between(yaxis, (height - taken.y) / taken.scale, -taken.y / taken.scale),
    });
    // Movements during the drawing are still to be drawn.
    const scale = view.scale / taken.scale;
    view = { scale, x: view.x - scale * taken.x, y: view.y - scale * taken.y };
    showView();
    drawing = false;
    requestAnimationFrame(() => requestAnimationFrame(() => { cost = performance.now() - start; }));
  }

  function moved() {
    tip.style.display = "none";
    frame ??= requestAnimationFrame(() => {
      frame = undefined;
      if (cost < QUICK) drawView();
      else showView();
    });
    clearTimeout(resting);
    resting = setTimeout(drawView, REST);
  }

  // Plotly's own panning draws all points in every frame; keep its events from it while panning.
  const onPlot = (event) => event.target.classList.contains("nsewdrag") && map._fullLayout.dragmode === "pan";
  map.addEventListener("mousedown", (event) => { if (onPlot(event) && event.button === 0) event.stopPropagation(); }, true);
  map.addEventListener("mousemove", (event) => { if (dragged) event.stopPropagation(); }, true);
  map.addEventListener("touchstart", (event) => { if (onPlot(event)) event.stopPropagation(); }, true);
  map.addEventListener("pointerdown", (event) => {
    if (!onPlot(event) || event.button !== 0) return;
    dragged = { id: event.pointerId, x: event.clientX, y: event.clientY };
    event.target.setPointerCapture(event.pointerId);
  }, true);
  map.addEventListener("pointermove", (event) => {
    if (event.pointerId !== dragged?.id) return;
    view.x += event.clientX - dragged.x;
    view.y += event.clientY - dragged.y;
    Object.assign(dragged, { x: event.clientX, y: event.clientY });
    moved();
  }, true);
  for (const end of ["pointerup", "pointercancel"]) {
    map.addEventListener(end, (event) => { if (event.pointerId === dragged?.id) dragged = undefined; }, true);
  }
  map.addEventListener("wheel", (event) => {
    if (!event.target.classList.contains("nsewdrag")) return;
    event.preventDefault();
    const { left, top } = area(), box = map.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - left, event.clientY - box.top - top];
    const lines = event.deltaMode === 1 ? 20 : 1;
    const factor = Math.exp(-Math.max(-200, Math.min(200, event.deltaY * lines)) / 400);
    view = { scale: view.scale * factor, x: x + factor * (view.x - x), y: y + factor * (view.y - y) };
    moved();
  }, { passive: false });
  map.addEventListener("dblclick", (event) => {
    if (!event.target.classList.contains("nsewdrag")) return;
    away = false;
    Plotly.relayout(map, homeView());
  });

  // ---- search ---------------------------------------------------------------------------------

  function search() {
    const wanted = byId("search").value.trim().toLowerCase();
    const x = [], y = [], color = [], symbol = [], whole = []; // whole: groups that are found as a whole
    if (wanted !== "") {
      shownGroups.forEach((group, k) => {
        const before = x.length;
        if (map.data[k].visible === "legendonly") return;
        for (const row of group.rows) {
          const hit = className(row).toLowerCase().includes(wanted) || (data.hover && data.hover[row].toLowerCase().includes(wanted));
          if (hit) { x.push(points[2 * row]); y.push(points[2 * row + 1]); color.push(group.color ?? "#1a1a1a"); symbol.push(group.symbol ?? "circle"); }
        }
        whole[k] = x.length - before === group.rows.length;
      });
    }
    byId("found").textContent = wanted === "" ? "" : x.length.toLocaleString("en") + " found";
    const all = shownGroups.map((_, k) => k);
    Plotly.restyle(map, { "marker.opacity": all.map((k) => wanted === "" || whole[k] ? opacity : 0.12) }, all);
    Plotly.restyle(map, { x: [x], y: [y], "marker.color": [color], "marker.symbol": [symbol] }, [all.length]);
  }

  let waiting;
  byId("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 200); });
})();
