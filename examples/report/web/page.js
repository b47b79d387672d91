"use strict";
// Draws the page from its data: a title and sections. All that comes from data is set as text, never as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);

  /** An element with attributes, listeners (functions) and children (elements or texts). */
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") made.addEventListener(name, value);
      else if (value !== false && value !== undefined) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  }

  // Colours

  const kSeries = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5fbf", "#8a8a00"];
  const isDark = () => document.documentElement.dataset.theme === "dark";
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const seriesColour = (i) => i < kSeries.length ? kSeries[i] : `hsl(${(i * 137.5) % 360} 60% 50%)`;
  /** Yellow to cyan are brighter than other hues of one lightness, and texts stand on them. */
  function expertColour(k, experts) {
    const hue = Math.round(k * 360 / experts), bright = hue > 40 && hue < 195;
    return `hsl(${hue} 65% ${isDark() ? (bright ? 26 : 38) : 78}%)`;
  }
  const translucent = (i) => i < kSeries.length ? kSeries[i] + "30" : `hsl(${(i * 137.5) % 360} 60% 50% / 0.19)`;

  // Numbers

  function short(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value);
    const size = Math.abs(value);
    return size >= 1e5 || size < 1e-3 ? value.toExponential(3) : value.toPrecision(4);
  }
  const number = (value) => typeof value === "number" ? value : NaN;

  // Tables

  const looksLikeNumber = (text) => /^[-+−–]?[\d.,]*\d|^–?$/.test(text);

  function table(columns, rows) {
    const right = columns.map((_, c) => rows.every((row) => looksLikeNumber(row[c] ?? "")) ? "number" : "");
    const cells = (tag, row) => row.map((text, c) => element(tag, {class: right[c] ?? ""}, text));
    return element("div", {class: "scroll"}, element("table", {},
      element("thead", {}, element("tr", {}, ...cells("th", columns))),
      element("tbody", {}, ...rows.map((row) => element("tr", {class: "filtered"}, ...cells("td", row))))));
  }

  /** Text with **strong** words and `code`. */
  const inline = (text) => text.split(/(\*\*[^*]+\*\*|`[^`]+`)/).map((part) =>
    part.startsWith("**") && part.length > 4 ? element("strong", {}, part.slice(2, -2)) :
      part.startsWith("`") && part.length > 2 ? element("code", {}, part.slice(1, -1)) : part);

  const kBlocks = {
    heading: (text) => element("h3", {}, ...inline(text)),
    text: (text) => element("p", {}, ...inline(text)),
    list: (items) => element("ul", {}, ...items.map((item) => element("li", {class: "filtered"}, ...inline(item)))),
    table: (content) => table(content.columns, content.rows),
  };
  const block = (content) => Object.entries(content).map(([kind, value]) => kBlocks[kind](value))[0];

  // Charts

  const charts = [];

  /** Bands and error bars: of each series that has low and high. */
  const intervals = {
    id: "intervals",
    beforeDatasetsDraw(chart) {
      const {ctx, chartArea: area, scales: {x, y}} = chart;
      ctx.save();
      ctx.beginPath();
      ctx.rect(area.left, area.top, area.width, area.height);
      ctx.clip();
      chart.data.datasets.forEach((set, i) => {
        if (!set.low || !chart.isDatasetVisible(i)) return;
        const points = chart.getDatasetMeta(i).data;
        const at = (values, k) => y.getPixelForValue(values[k]);
        ctx.beginPath();
        if (set.band) {
          set.low.forEach((_, k) => ctx.lineTo(x.getPixelForValue(set.at[k]), at(set.low, k)));
          for (let k = set.high.length - 1; k >= 0; --k) ctx.lineTo(x.getPixelForValue(set.at[k]), at(set.high, k));
          ctx.fillStyle = set.bandColor;
          ctx.fill();
        } else {
          set.low.forEach((_, k) => {
            const middle = points[k].x;
            ctx.moveTo(middle, at(set.low, k));
            ctx.lineTo(middle, at(set.high, k));
          });
          ctx.strokeStyle = style("--ink");
          ctx.lineWidth = 1.5;
          ctx.stroke();
        }
      });
      ctx.restore();
    },
  };

  const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const floatsOf = (text) => new Float32Array(bytesOf(text).buffer);
  const intsOf = (text) => new Int32Array(bytesOf(text).buffer);

  /** From dark blue over green to yellow, as level 0 to 254; 255, what is not finite, is red. */
  const kHeat = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const heatColours = new Uint32Array(256).map((_, level) => {
    const at = level / 254 * (kHeat.length - 1), i = Math.min(Math.floor(at), kHeat.length - 2);
    const [r, g, b] = level === 255 ? [220, 0, 0] : kHeat[i].map((low, c) => low + (kHeat[i + 1][c] - low) * (at - i));
    return 0xff000000 | b << 16 | g << 8 | r;
  });

  /** A picture of `columns` × `rows` levels between the axes, however many there are: one look-up a pixel. */
  const heat = {
    id: "heat",
    beforeDatasetsDraw(chart) {
      const {ctx, chartArea: area} = chart, spec = chart.options.heat;
      const scale = chart.currentDevicePixelRatio;
      const width = Math.round(area.width * scale), height = Math.round(area.height * scale);
      if (width < 1 || height < 1) return;
      const image = ctx.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
      const levels = levelsOf(spec);
      for (let y = 0; y < height; ++y) {
        const row = Math.floor(y * spec.rows / height);
        for (let x = 0; x < width; ++x)
          pixels[y * width + x] = heatColours[levels[Math.floor(x * spec.columns / width) * spec.rows + row]];
      }
      ctx.putImageData(image, Math.round(area.left * scale), Math.round(area.top * scale));
    },
  };
  const levelsOf = (spec) => spec.bytes ??= bytesOf(spec.levels);
  /** The text for a cell, and null for none. */
  function cell(spec, column, row) {
    if (!(column >= 0 && column < spec.columns && row >= 0 && row < spec.rows)) return null;
    const level = levelsOf(spec)[column * spec.rows + row];
    const value = level === 255 ? NaN : spec.low + (spec.high - spec.low) * level / 254;
    const place = spec.x.values?.[column] ?? column;
    const name = spec.x.names?.[column];
    return `${spec.x.title} ${place}${name === undefined ? "" : ` “${name}”`}, ${spec.y.title} ${row}: ${short(value)}`;
  }

  /** Charts begin with the series that they have; `kind` says how each is drawn. */
  const kKinds = {
    lines: (series, i) => ({
      type: "line", band: true, borderColor: seriesColour(i), backgroundColor: seriesColour(i),
      bandColor: translucent(i), borderWidth: 2, pointHitRadius: 6, showLine: !series.points,
      pointRadius: series.points ? 2 : series.x.length > 40 ? 0 : 2.5,
    }),
    area: (series, i, all) => ({
      type: "line", fill: true, stack: "all", borderColor: style("--paper"), borderWidth: 0.5, pointRadius: 0,
      backgroundColor: expertColour(i, all.length), pointHitRadius: 6,
    }),
    bars: (series, i) => ({type: "bar", backgroundColor: seriesColour(i)}),
    ranges: (series, i) => ({
      type: "line", showLine: false, borderColor: seriesColour(i),
      backgroundColor: series.points ? "transparent" : seriesColour(i), pointRadius: series.points ? 3 : 5,
    }),
  };

  const axis = (title, more) => ({
    title: {display: true, text: title, color: style("--faint")}, ticks: {color: style("--faint")},
    grid: {color: style("--line")}, ...more,
  });

  function heatConfiguration(spec) {
    const extent = (count) => ({type: "linear", min: -0.5, max: count - 0.5, grid: {display: false}});
    const ticks = (names) => ({color: style("--faint"), precision: 0,
      callback: (value) => Number.isInteger(value) ? names?.[value] ?? value : ""});
    return {
      type: "scatter", data: {datasets: []},
      options: {
        heat: spec, animation: false, responsive: true, maintainAspectRatio: false, events: [],
        plugins: {legend: {display: false}},
        scales: {x: axis(spec.x.title, {...extent(spec.columns), ticks: ticks(spec.x.values)}),
          y: axis(spec.y.title, {...extent(spec.rows), ticks: ticks(), reverse: true})},
      },
      plugins: [heat],
    };
  }

  /** Letters of a name under a narrow chart, and of its lines under a wide one. */
  const kShortName = 16, kLineOfName = 28, kLinesOfName = 3;

  /** A name in lines, at its blanks; what is too long ends in … and is told whole by the pointer. */
  function inLines(name) {
    const lines = [];
    for (const word of name.split(" ")) {
      if (lines.length > 0 && `${lines.at(-1)} ${word}`.length <= kLineOfName) lines.push(`${lines.pop()} ${word}`);
      else lines.push(word);
    }
    return lines.length > kLinesOfName ? [...lines.slice(0, kLinesOfName - 1), `${lines[kLinesOfName - 1]}…`] : lines;
  }

  function configuration(spec) {
    if (spec.kind === "heat") return heatConfiguration(spec);
    const labels = spec.x.labels;
    const stacked = spec.kind === "area";
    const all = spec.series.flatMap((s) => [...s.y, ...(s.low ?? []), ...(s.high ?? [])]).filter(Number.isFinite);
    const places = labels && spec.kind !== "bars" ?
      {type: "linear", min: -0.5, max: labels.length - 0.5, afterBuildTicks: (scale) => {
        scale.ticks = labels.map((_, i) => ({value: i}));
      }, ticks: {color: style("--faint"), autoSkip: false, maxRotation: 60, callback(value) {
        const label = labels[value] ?? "";
        if (this.chart.width >= 560) return inLines(label);
        return label.length > kShortName ? `${label.slice(0, kShortName - 1)}…` : label;
      }}} :
      {type: spec.kind === "bars" ? "category" : "linear", stacked: false, ticks: {color: style("--faint"), precision: 0}};
    return {
      type: spec.kind === "bars" ? "bar" : "line",
      data: {
        labels,
        datasets: spec.series.map((series, i) => ({
          label: series.name, at: series.x, low: series.low, high: series.high,
          data: spec.kind === "bars" ? series.y : series.y.map((y, k) => ({x: series.x[k], y: number(y)})),
          ...kKinds[spec.kind](series, i, spec.series),
        })),
      },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false,
        interaction: {mode: "nearest", axis: "x", intersect: false},
        plugins: {
          legend: {display: spec.series.length > 1, labels: {color: style("--ink"), boxWidth: 12, boxHeight: 12}},
          tooltip: {callbacks: {
            title: (items) => items.length ?
              `${spec.x.title} ${labels ? labels[Math.round(items[0].parsed.x)] : short(items[0].parsed.x)}` : "",
            label: ({dataset, dataIndex, parsed}) => `${dataset.label}: ${short(parsed.y)}` +
              (dataset.low ? ` (${short(dataset.low[dataIndex])} to ${short(dataset.high[dataIndex])})` : ""),
          }},
        },
        scales: {
          x: axis(spec.x.title, places),
          y: axis(spec.y.title, stacked || spec.kind === "bars" ? {beginAtZero: true, stacked, max: spec.y.max} :
            {suggestedMin: Math.min(...all), suggestedMax: Math.max(...all)}),
        },
      },
      plugins: [intervals],
    };
  }

  /** The numbers behind a chart, made when they are asked for. */
  function numbersOf(spec) {
    const place = element("div", {class: "scroll"});
    const details = element("details", {toggle() {
      if (!details.open || place.firstChild) return;
      place.append(table([spec.x.title, "series", spec.y.title, "low", "high"], spec.series.flatMap((series) =>
        series.x.map((x, k) => [String(spec.x.labels?.[x] ?? short(x)), series.name, short(series.y[k]),
          series.low ? short(series.low[k]) : "", series.high ? short(series.high[k]) : ""]))));
    }}, element("summary", {}, "numbers"), place);
    return details;
  }

  /** The line below a picture: what is under the pointer, or where the arrow keys have gone. */
  function readout(spec, canvas, chartOf) {
    const line = element("output", {class: "faint"}, `${short(spec.low)} (dark) to ${short(spec.high)} (bright)`);
    let column = 0, row = 0;
    const show = (c, r) => {
      const text = cell(spec, c, r);
      if (text === null) return;
      [column, row] = [c, r];
      line.textContent = text;
    };
    canvas.addEventListener("pointermove", (event) => {
      const {x, y} = chartOf().scales;
      show(Math.round(x.getValueForPixel(event.offsetX)), Math.round(y.getValueForPixel(event.offsetY)));
    });
    canvas.tabIndex = 0;
    canvas.addEventListener("keydown", (event) => {
      const by = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
      if (!by) return;
      event.preventDefault();
      show(column + by[0], row + by[1]);
    });
    return line;
  }

  /** Pixels that long names under a chart take from it. */
  const roomForNames = ({kind, x}) => kind === "bars" ? 0 :
    8 * Math.max(0, ...(x.labels ?? []).map((label) => Math.min(label.length, kLineOfName) - kShortName));

  function figure(spec) {
    const canvas = element("canvas", {role: "img", "aria-label": `${spec.title}; its numbers follow`});
    const entry = {spec, canvas, chart: null, draw() {
      const hidden = this.chart?.data.datasets.map((_, i) => !this.chart.isDatasetVisible(i));
      this.chart?.destroy();
      this.chart = new Chart(canvas, configuration(spec));
      hidden?.forEach((h, i) => this.chart.setDatasetVisibility(i, !h));
      if (hidden?.some((h) => h)) this.chart.update();
    }};
    charts.push(entry);
    const place = element("div", {class: "canvas"}, canvas);
    place.style.height = `${300 + roomForNames(spec)}px`;
    return element("figure", {}, element("figcaption", {}, spec.title, element("small", {}, spec.note ?? "")), place,
      spec.kind === "heat" ? readout(spec, canvas, () => entry.chart) : numbersOf(spec));
  }
  /** Takes away the charts of what is about to leave the page. */
  function forget(place) {
    for (let i = charts.length - 1; i >= 0; --i)
      if (place.contains(charts[i].canvas)) charts.splice(i, 1)[0].chart?.destroy();
  }

  // Sections

  // Tokens: what a layer did with each, as text, as patches of images, or as numbers

  const kChunk = 500;  // tokens that are made at once, when they come into sight

  /** A layer's numbers, as arrays. */
  const decoded = (layer) => layer.arrays ??= {
    scores: floatsOf(layer.scores), expert: intsOf(layer.expert), gates: floatsOf(layer.gates),
    own: layer.own && floatsOf(layer.own), entropy: layer.own && floatsOf(layer.entropy),
    self: layer.own && floatsOf(layer.self), neighbour: layer.neighbour && intsOf(layer.neighbour),
    weight: layer.weight && floatsOf(layer.weight),
  };

  function nameOf(step, token) {
    if (!step.images) return step.words[token] ?? `token ${token}`;
    const {height, width, patch, before} = step.images, across = width / patch;
    const tokens = before + height / patch * across, place = token % tokens - before, image = Math.floor(token / tokens);
    return place < 0 ? `image ${image}, class token` :
      `image ${image}, row ${Math.floor(place / across)}, column ${place % across}`;
  }

  /** All that is known of a token. */
  function details(step, layer, token) {
    const a = decoded(layer), K = layer.experts, M = layer.chosen, N = layer.neighbours;
    const chosen = [...Array(M).keys()].map((m) => [a.expert[token * M + m], a.gates[token * M + m]]).filter(([k]) => k < K);
    const scores = [...Array(K).keys()].sort((x, y) => a.scores[token * K + y] - a.scores[token * K + x]).slice(0, 12);
    const swatch = (k) => element("i", {class: "swatch", style: `background: var(--expert-${k})`});
    const near = [...Array(N).keys()].map((n) => [a.neighbour[token * N + n], a.weight[token * N + n]]).filter(([j]) => j >= 0);
    return [
      element("strong", {}, nameOf(step, token)), element("span", {class: "faint"}, step.words[token] === undefined ? "" : ` token ${token}`),
      ...(a.own ? [element("p", {class: "faint"}, `weight on itself ${short(a.self[token])}, entropy of its weights ` +
        `${short(a.entropy[token])} nats`)] : []),
      rowsOf(["expert", "gate"], chosen.map(([k, gate]) => [element("span", {}, swatch(k), String(k)), short(gate)])),
      rowsOf(["expert", layer.logits ? "logit" : "probability", ...(a.own ? ["on its own"] : [])],
        scores.map((k) => [element("span", {}, swatch(k), String(k)), short(a.scores[token * K + k]),
          ...(a.own ? [short(a.own[token * K + k])] : [])])),
      ...(near.length ? [rowsOf(["looks at", "weight"], near.map(([j, w]) => [`${nameOf(step, j)} (${j})`, short(w)]))] : []),
    ];
  }
  const rowsOf = (columns, rows) => element("table", {},
    element("thead", {}, element("tr", {}, ...columns.map((text, c) => element("th", {class: c ? "number" : ""}, text)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, c) =>
      element("td", {class: c ? "number" : ""}, cell))))));

  /** Tokens as text; `select` is told the token under the pointer or the keys. */
  function textView(step, layer, select) {
    const a = decoded(layer), M = layer.chosen, K = layer.experts;
    const spans = [];
    const place = element("div", {class: "tokens", tabindex: 0, role: "listbox", "aria-label": "tokens"});
    const fill = (chunk, first) => {
      for (let i = first; i < Math.min(first + kChunk, layer.rows); ++i) {
        const k = a.expert[i * M];
        spans[i] = element("span", {role: "option"}, step.words[i] ?? String(i));
        spans[i].dataset.token = i;
        spans[i].dataset.expert = k;
        if (k < K) spans[i].style.background = `var(--expert-${k})`;
        chunk.append(spans[i], " ");
      }
      chunk.dataset.full = "";
    };
    const seen = new IntersectionObserver((entries) => {
      for (const {isIntersecting, target} of entries)
        if (isIntersecting && target.dataset.full === undefined) fill(target, Number(target.dataset.first));
    }, {rootMargin: "600px"});
    for (let first = 0; first < layer.rows; first += kChunk) {
      const chunk = element("p", {class: "chunk"});
      chunk.dataset.first = first;
      chunk.style.containIntrinsicSize = `auto ${Math.ceil(Math.min(kChunk, layer.rows - first) / 16) * 26}px`;
      place.append(chunk);
      if (first < 2 * kChunk) fill(chunk, first);
      else seen.observe(chunk);
    }
    const span = (token) => {
      const chunk = place.children[Math.floor(token / kChunk)];
      if (chunk.dataset.full === undefined) fill(chunk, Number(chunk.dataset.first));
      return spans[token];
    };
    let marked = [];
    const mark = (token) => {
      for (const old of marked) { old.classList.remove("selected", "near"); old.style.removeProperty("--weight"); }
      marked = [span(token)];
      spans[token].classList.add("selected");
      for (let n = 0; n < layer.neighbours; ++n) {
        const j = a.neighbour[token * layer.neighbours + n];
        if (j < 0 || j === token) continue;
        span(j).classList.add("near");
        spans[j].style.setProperty("--weight", Math.min(1, a.weight[token * layer.neighbours + n] * 2).toFixed(3));
        marked.push(spans[j]);
      }
    };
    place.addEventListener("pointerover", (event) => {
      if (event.target.dataset.token !== undefined) select(Number(event.target.dataset.token));
    });
    return {place, mark(token, scroll) {
      mark(token);
      if (scroll) spans[token].scrollIntoView({block: "nearest"});
    }};
  }

  /** Tokens as patches of images, tinted by their first expert. */
  function patchView(step, layer, select) {
    const images = step.images, a = decoded(layer);
    const {count, height, width, channels, patch, before} = images;
    const pixels = images.bytes ??= bytesOf(images.pixels);
    const across = width / patch, tokens = before + height / patch * across;
    const zoom = Math.max(1, Math.round(160 / Math.max(height, width)));
    const place = element("div", {class: "images", tabindex: 0, role: "listbox", "aria-label": "patches"});
    const canvases = [];
    const draw = (image, selected) => {
      const near = new Map();
      for (let n = 0; selected >= 0 && n < layer.neighbours; ++n)
        near.set(a.neighbour[selected * layer.neighbours + n], a.weight[selected * layer.neighbours + n]);
      const context = canvases[image].getContext("2d");
      for (let y = 0; y < height; ++y)
        for (let x = 0; x < width; ++x) {
          const at = ((image * height + y) * width + x) * channels;
          const [r, g, b] = channels >= 3 ? pixels.subarray(at, at + 3) : [pixels[at], pixels[at], pixels[at]];
          context.fillStyle = `rgb(${r} ${g} ${b})`;
          context.fillRect(x * zoom, y * zoom, zoom, zoom);
        }
      for (let p = before; p < tokens; ++p) {
        const token = image * tokens + p;
        if (token >= layer.rows) return;
        const x = (p - before) % across * patch * zoom, y = Math.floor((p - before) / across) * patch * zoom;
        const k = a.expert[token * layer.chosen];
        const shown = k < layer.experts && (place.dataset.only === undefined || Number(place.dataset.only) === k);
        if (shown) {
          context.fillStyle = expertColour(k, layer.experts).replace(")", " / 0.5)");
          context.fillRect(x, y, patch * zoom, patch * zoom);
        }
        const weight = token === selected ? 1 : near.get(token);
        if (weight === undefined) continue;
        context.strokeStyle = style("--accent");
        context.lineWidth = token === selected ? 4 : 1 + 6 * weight;
        context.setLineDash(token === selected ? [] : [4, 3]);
        context.strokeRect(x + 2, y + 2, patch * zoom - 4, patch * zoom - 4);
      }
    };
    for (let image = 0; image < count && image * tokens < layer.rows; ++image) {
      const canvas = element("canvas", {width: width * zoom, height: height * zoom, role: "img", "aria-label": `image ${image}`});
      canvas.addEventListener("pointermove", (event) => {
        const token = image * tokens + before + Math.floor(event.offsetY / (patch * zoom)) * across +
          Math.floor(event.offsetX / (patch * zoom));
        if (token < layer.rows && token < (image + 1) * tokens) select(token);
      });
      canvases.push(canvas);
      place.append(canvas);
      draw(image, -1);
    }
    let last = 0;
    return {place, mark(token) {
      const image = Math.floor(token / tokens);
      if (last !== image) draw(last, -1);
      draw(last = image, token);
    }, redraw: () => canvases.forEach((_, image) => draw(image, -1))};
  }

  /** A step's tokens in a layer, with what says which, and the picture of their gates. */
  function tokenView(section) {
    if (!section.steps.length) return [];
    const body = element("div", {});
    const options = (names) => names.map((name, i) => element("option", {value: i}, name));
    const stepChoice = element("select", {"aria-label": "step", change: show}, ...options(section.steps.map((s) => `step ${s.number}`)));
    const layerChoice = element("select", {"aria-label": "layer", change: show}, ...options(section.steps.at(-1).layers.map((l) => l.name)));
    stepChoice.value = section.steps.length - 1;
    function show() {
      forget(body);
      const step = section.steps[stepChoice.value], layer = step.layers[Math.min(layerChoice.value, step.layers.length - 1)];
      const panel = element("aside", {class: "panel", "aria-live": "polite"}, "Point at a token, or use the arrow keys.");
      let token = 0;
      const select = (chosen, scroll = false) => {
        token = Math.max(0, Math.min(chosen, layer.rows - 1));
        panel.replaceChildren(...details(step, layer, token));
        view.mark(token, scroll);
      };
      const view = (step.images ? patchView : textView)(step, layer, select);
      view.place.addEventListener("keydown", (event) => {
        const by = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10, Home: -layer.rows, End: layer.rows}[event.key];
        if (!by) return;
        event.preventDefault();
        select(token + by, true);
      });
      const colours = () => {
        for (let k = 0; k < layer.experts; ++k) body.style.setProperty(`--expert-${k}`, expertColour(k, layer.experts));
        view.redraw?.();
      };
      const legend = element("div", {class: "legend", role: "group", "aria-label": "tokens of one expert"},
        ...[...Array(layer.experts).keys()].map((k) => element("button", {"aria-pressed": "false", style: `background: var(--expert-${k})`,
          click: (event) => {
            const on = event.target.getAttribute("aria-pressed") !== "true";
            for (const button of legend.children) button.setAttribute("aria-pressed", String(on && button === event.target));
            if (on) view.place.dataset.only = k; else delete view.place.dataset.only;
            only.textContent = on ? `#${body.id} .tokens [data-expert]:not([data-expert="${k}"]) { opacity: 0.2; }` : "";
            view.redraw?.();
          }}, String(k))));
      const only = element("style", {});
      body.replaceChildren(only, element("p", {class: "faint"}, "Colours: the first expert of each token. ", legend),
        element("div", {class: "split"}, element("div", {}, view.place, ...(layer.mask ? [figure({...layer.mask,
          x: {...layer.mask.x, names: step.words.length ? step.words : undefined}})] : [])), panel));
      colours();
      body.recolour = colours;
      for (const entry of charts) if (body.contains(entry.canvas) && !entry.chart && document.contains(body)) entry.draw();
    }
    body.id = `tokens-${tokenViews.push(body)}`;
    show();
    return [element("h3", {}, "Tokens"), element("p", {}, stepChoice, " ", layerChoice), body];
  }
  const tokenViews = [];

  const kSections = {
    telemetry: (section) => [
      element("details", {}, element("summary", {}, "about this file"), table(["", ""], section.facts)),
      ...tokenView(section),
      element("div", {class: "charts"}, ...section.charts.map(figure)),
    ],
    results: (section) => [
      ...(section.facts.length ? [element("details", {}, element("summary", {}, "settings"),
        table(["setting", "value"], section.facts))] : []),
      ...(section.verdicts.length ? [element("h3", {}, "Verdicts"), ...section.verdicts.map(block)] : []),
      ...section.blocks.map(block),
      element("div", {class: "charts"}, ...section.charts.map(figure)),
    ],
  };

  const titleOf = (section) => section.experiment ? `${section.experiment}: ${section.name}` : section.name;
  const sections = data.sections.map((section, i) => element("section", {class: "section", id: `section-${i}`,
    "aria-label": titleOf(section)}, element("h2", {}, titleOf(section)), ...kSections[section.kind](section)));

  // What the reader changes

  function applyFilter(text) {
    const words = text.toLowerCase().split(/\s+/).filter((word) => word);
    const matches = (name) => words.every((word) => name.toLowerCase().includes(word));
    for (const row of document.querySelectorAll(".filtered")) row.hidden = !matches(row.textContent);
    for (const {chart} of charts) {
      const sets = chart.data.datasets;
      if (!sets.length) continue;
      const any = sets.some((set) => matches(set.label));
      sets.forEach((set, i) => chart.setDatasetVisibility(i, !any || matches(set.label)));
      chart.update();
    }
  }

  function setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    for (const entry of charts) entry.draw();
    for (const body of tokenViews) body.recolour();
  }

  /** Two sections beside one another, charts of one title on one scale; none: all below one another. */
  function pair(chosen) {
    page.classList.toggle("pair", chosen !== null);
    sections.forEach((section, i) => {
      section.hidden = chosen !== null && !chosen.includes(i);
      section.style.order = chosen !== null && i === chosen[1] ? 1 : 0;
    });
    const ranges = new Map();
    const shown = charts.filter(({spec, canvas}) => spec.kind !== "heat" && !canvas.closest("section").hidden);
    for (const {spec, chart} of shown) {
      const {min, max} = chart.scales.y;
      const range = ranges.get(spec.title) ?? [Infinity, -Infinity];
      ranges.set(spec.title, [Math.min(range[0], min), Math.max(range[1], max)]);
    }
    for (const {spec, chart} of shown) {
      const [min, max] = chosen === null ? [undefined, spec.y.max] : ranges.get(spec.title);
      Object.assign(chart.options.scales.y, {min, max});
      chart.resize();
      chart.update();
    }
  }

  const chooser = (label, i) => element("select", {"aria-label": label, hidden: true, change: () => pair(chosen())},
    ...sections.map((_, k) => element("option", {value: k, selected: k === i}, titleOf(data.sections[k]))));
  const left = chooser("left", 0), right = chooser("right", 1);
  const chosen = () => sideBySide.checked ? [Number(left.value), Number(right.value)] : null;
  const sideBySide = element("input", {type: "checkbox", id: "pair", change() {
    left.hidden = right.hidden = !sideBySide.checked;
    pair(chosen());
  }});
  const filter = element("input", {type: "search", id: "filter", placeholder: "rows, series", input: () => applyFilter(filter.value)});

  const page = document.getElementById("page");
  page.append(
    element("a", {class: "skip", href: "#sections"}, "to the results"),
    element("header", {}, element("h1", {}, data.title),
      element("span", {}, element("label", {for: "filter"}, "filter "), filter),
      ...(sections.length > 1 ? [element("span", {}, sideBySide, element("label", {for: "pair"}, " side by side ")), left, right] : []),
      element("button", {id: "theme", click: () => setTheme(isDark() ? "light" : "dark")}, "light / dark")),
    element("nav", {"aria-label": "sections", hidden: sections.length < 2},
      ...sections.map((section, i) => element("a", {href: `#section-${i}`}, titleOf(data.sections[i])))),
    element("div", {class: "sections", id: "sections"}, ...sections));
  document.title = data.title;
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (typing && event.key === "Escape") event.target.blur();
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") { event.preventDefault(); filter.focus(); }
    if (event.key === "t") setTheme(isDark() ? "light" : "dark");
  });
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  window.neuroinhibReport = {charts};  // for those who script the page
})();
