// Draws each <figure class="chart" data-chart="line|bars"> from the table inside it, with uPlot.
// First column: labels (a <time datetime> or text); every further column: one series, its numbers in data-value or as text.
// data-limit draws a level line; data-columns leaves room for rows to come, the last of which is called data-last; data-format="money:EUR" or "percent" words the axis.
(() => {
  "use strict";
  const ink = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  };
  const number = (cell) => {
    const raw = cell.dataset.value ?? cell.textContent.replace(/[^\d.-]/g, "");
    return raw === "" ? null : Number(raw);
  };
  const wording = (figure) => {
    const [kind, currency] = (figure.dataset.format || "").split(":");
    const language = document.documentElement.lang || "en";
    if (kind === "money") return new Intl.NumberFormat(language, { style: "currency", currency, notation: "compact" });
    if (kind === "percent") return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
    return new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 });
  };
  const read = (table) => {
    const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent.trim());
    const rows = [...table.tBodies[0].rows];
    const labels = rows.map((row) => row.cells[0].textContent.trim());
    const columns = names.map((_, i) => rows.map((row) => number(row.cells[i + 1])));
    return { names, labels, columns };
  };
  // Rows to come: empty places, so that a period that has begun is as wide as one that is over.
  const widen = ({ labels, columns }, figure) => {
    const room = Number(figure.dataset.columns || 0) - labels.length;
    if (room <= 0) return;
    labels.push(...Array(room - 1).fill(""), figure.dataset.last);
    columns.forEach((column) => column.push(...Array(room).fill(null)));
  };
  const draw = (figure) => {
    const table = figure.querySelector(".chart__table table");
    const canvas = figure.querySelector(".chart__canvas");
    if (!table || !canvas || !window.uPlot) return;
    const drawn = read(table);
    const lonely = drawn.labels.length < 2 && figure.dataset.chart !== "bars";
    widen(drawn, figure);
    const { names, labels, columns } = drawn;
    const format = wording(figure);
    const bars = figure.dataset.chart === "bars";
    const colours = ["--chart-1", "--chart-2", "--chart-3", "--chart-4"].map(ink);
    const limit = figure.dataset.limit ? Number(figure.dataset.limit) : null;
    const series = names.map((label, i) => ({
      label,
      stroke: colours[i % 4],
      width: bars ? 0 : 2,
      fill: bars ? colours[i % 4] : names.length === 1 ? colours[0].replace("rgb(", "rgba(").replace(")", ", 0.1)") : undefined,
      points: { show: lonely },
      paths: bars ? uPlot.paths.bars({ size: [0.62, 44], radius: 0.12 }) : uPlot.paths.linear(),
      value: (_, value) => (value == null ? "–" : new Intl.NumberFormat(format.resolvedOptions().locale).format(value)),
    }));
    const xs = labels.map((_, i) => i);
    const data = [xs, ...columns];
    if (bars && columns.length > 1) {
      // Stacked: each column is drawn as the sum so far, the tallest first, so that the lower ones cover its foot.
      const sums = columns.map((_, i) => xs.map((x) => columns.slice(0, i + 1).reduce((sum, column) => sum + (column[x] ?? 0), 0)));
      data.splice(1, columns.length, ...sums.reverse());
      series.reverse();
    }
    if (limit !== null) {
      series.push({ label: figure.dataset.limitLabel || "Limit", stroke: ink("--bad"), width: 1.5, dash: [5, 4], points: { show: false } });
      data.push(labels.map(() => limit));
    }
    const grid = { stroke: ink("--line"), width: 1 };
    const axis = { stroke: ink("--ink-3"), font: `12px ${getComputedStyle(document.body).fontFamily}`, grid, ticks: { show: false } };
    // The last place of a period that has begun has a label too, where there is room for it.
    const places = (_plot, _axis, _min, _max, step) => {
      const found = labels.flatMap((label, i) => (label && i % step === 0 ? [i] : []));
      const end = labels.length - 1;
      return figure.dataset.columns && end - found.at(-1) >= step ? [...found, end] : found;
    };
    const every = (plot, splits) => splits.map((at) => (Number.isInteger(at) ? labels[at] ?? "" : ""));
    canvas.replaceChildren();
    const plot = new uPlot(
      {
        width: canvas.clientWidth,
        height: Math.max(200, Math.min(280, canvas.clientWidth * 0.42)),
        scales: {
          x: { time: false, range: (_, min, max) => (bars ? [min - 0.6, max + 0.6] : [min, max]) },
          y: { range: (_, min, max) => [Math.min(0, min), Math.max(max, limit ?? 0, 1) * 1.08] },
        },
        legend: { show: names.length > 1 || limit !== null, live: false },
        cursor: { points: { size: 7 }, drag: { x: false, y: false } },
        axes: [
          { ...axis, size: 38, gap: 12, splits: places, values: every, incrs: [1, 2, 3, 6, 7, 14, 28], space: 64, grid: { show: false } },
          { ...axis, size: 62, values: (_, splits) => splits.map((v) => format.format(v)) },
        ],
        series: [{ label: table.tHead.rows[0].cells[0].textContent.trim(), value: (_, at) => labels[at] ?? "–" }, ...series],
      },
      data,
      canvas,
    );
    plot.root.setAttribute("aria-hidden", "true");
    const fold = figure.querySelector(".chart__table");
    if (fold) fold.open = false;
  };
  const all = () => document.querySelectorAll("figure[data-chart]").forEach(draw);
  all();
  let waiting;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(all, 150);
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  document.addEventListener("htmx:afterSwap", all);
})();
