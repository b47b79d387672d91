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

  const kBlocks = {
    heading: (text) => element("h3", {}, text),
    text: (text) => element("p", {}, text),
    list: (items) => element("ul", {}, ...items.map((item) => element("li", {class: "filtered"}, item))),
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

  /** Charts begin with the series that they have; `kind` says how each is drawn. */
  const kKinds = {
    lines: (series, i) => ({
      type: "line", band: true, borderColor: seriesColour(i), backgroundColor: seriesColour(i),
      bandColor: translucent(i), borderWidth: 2, pointRadius: series.x.length > 40 ? 0 : 2.5, pointHitRadius: 6,
    }),
    area: (series, i) => ({
      type: "line", fill: true, stack: "all", borderColor: seriesColour(i), borderWidth: 0.5, pointRadius: 0,
      backgroundColor: seriesColour(i), pointHitRadius: 6,
    }),
    bars: (series, i) => ({type: "bar", backgroundColor: seriesColour(i)}),
    ranges: (series, i) => ({
      type: "line", showLine: false, borderColor: seriesColour(i),
      backgroundColor: series.points ? "transparent" : seriesColour(i), pointRadius: series.points ? 3 : 5,
    }),
  };

  function configuration(spec) {
    const labels = spec.x.labels;
    const stacked = spec.kind === "area";
    const all = spec.series.flatMap((s) => [...s.y, ...(s.low ?? []), ...(s.high ?? [])]).filter(Number.isFinite);
    const axis = (title, more) => ({
      title: {display: true, text: title, color: style("--faint")}, ticks: {color: style("--faint")},
      grid: {color: style("--line")}, ...more,
    });
    const places = labels && spec.kind !== "bars" ?
      {type: "linear", min: -0.5, max: labels.length - 0.5, afterBuildTicks: (scale) => {
        scale.ticks = labels.map((_, i) => ({value: i}));
      }, ticks: {color: style("--faint"), autoSkip: false, maxRotation: 60, callback: (value) => labels[value] ?? ""}} :
      {type: spec.kind === "bars" ? "category" : "linear", stacked: false, ticks: {color: style("--faint"), precision: 0}};
    return {
      type: spec.kind === "bars" ? "bar" : "line",
      data: {
        labels,
        datasets: spec.series.map((series, i) => ({
          label: series.name, at: series.x, low: series.low, high: series.high,
          data: spec.kind === "bars" ? series.y : series.y.map((y, k) => ({x: series.x[k], y: number(y)})),
          ...kKinds[spec.kind](series, i),
        })),
      },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, normalized: true,
        interaction: {mode: labels ? "nearest" : "x", intersect: false},
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

  function figure(spec) {
    const canvas = element("canvas", {role: "img", "aria-label": `${spec.title}; its numbers follow`});
    const made = element("figure", {}, element("figcaption", {}, spec.title, element("small", {}, spec.note ?? "")),
      element("div", {class: "canvas"}, canvas), numbersOf(spec));
    const entry = {spec, canvas, chart: null, draw() {
      const hidden = this.chart?.data.datasets.map((_, i) => !this.chart.isDatasetVisible(i));
      this.chart?.destroy();
      this.chart = new Chart(canvas, configuration(spec));
      hidden?.forEach((h, i) => this.chart.setDatasetVisibility(i, !h));
      if (hidden?.some((h) => h)) this.chart.update();
    }};
    charts.push(entry);
    return made;
  }

  // Sections

  const kSections = {
    results: (section) => [
      element("details", {}, element("summary", {}, "settings"), table(["setting", "value"], section.facts)),
      ...(section.verdicts ? [element("h3", {}, "Verdicts"), table(section.verdicts.columns, section.verdicts.rows)] : []),
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
      const any = sets.some((set) => matches(set.label));
      sets.forEach((set, i) => chart.setDatasetVisibility(i, !any || matches(set.label)));
      chart.update();
    }
  }

  function setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    for (const entry of charts) entry.draw();
    document.dispatchEvent(new Event("themechange"));
  }

  /** Two sections beside one another, charts of one title on one scale; none: all below one another. */
  function pair(chosen) {
    page.classList.toggle("pair", chosen !== null);
    sections.forEach((section, i) => {
      section.hidden = chosen !== null && !chosen.includes(i);
      section.style.order = chosen !== null && i === chosen[1] ? 1 : 0;
    });
    const ranges = new Map();
    const shown = charts.filter(({canvas}) => !canvas.closest("section").hidden);
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
