// Draws the charts that the page describes in <script id="charts">: a list of
// {id, kind: "line" | "bars", title, x: {name, min?, max?}, y: {…}, series: [{name, role, points: [[x, y], …], line?, dots?, dash?}], mark?: {x, name}}.
"use strict";
(() => {
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const style = () => getComputedStyle(document.documentElement);
  const colour = (role) => style().getPropertyValue("--" + role).trim();
  const clear = (hex, share) => hex + Math.round(share * 255).toString(16).padStart(2, "0");
  const short = (v) => (v === null ? "" : Math.abs(v) >= 1000 ? v.toFixed(0) : String(+v.toPrecision(4)));
  const charts = [];

  const mark = {  // a quiet vertical line: the epoch whose weights were kept
    id: "mark",
    afterDatasetsDraw(chart, _, options) {
      if (options.x === undefined) return;
      const { ctx, chartArea: area, scales } = chart, x = scales.x.getPixelForValue(options.x);
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = colour("quiet");
      ctx.setLineDash([4, 4]);
      ctx.beginPath(); ctx.moveTo(x, area.top); ctx.lineTo(x, area.bottom); ctx.stroke();
      const right = x > (area.left + area.right) / 2;
      ctx.textAlign = right ? "right" : "left";
      ctx.font = "12px system-ui, sans-serif";
      ctx.fillText(options.name, x + (right ? -6 : 6), area.top + 12);
      ctx.restore();
    },
  };

  const dataset = (spec, s) => {
    const c = colour(s.role);
    const base = { label: s.name, data: s.points.map(([x, y]) => ({ x, y })), borderColor: c, normalized: true };
    if (spec.kind === "bars") return { ...base, backgroundColor: clear(c, s.role === "baseline" ? 0.25 : 0.65), borderWidth: 1, grouped: false, barPercentage: 1, categoryPercentage: 0.94, order: s.role === "baseline" ? 2 : 1 };
    return { ...base, backgroundColor: s.dots ? clear(c, 0.55) : c, showLine: s.line !== false, borderWidth: s.line === false ? 1 : 2, borderDash: s.dash ? [6, 5] : [],
             pointRadius: s.dots ? 3.5 : 0, pointHitRadius: 8, pointHoverRadius: 5, tension: 0, spanGaps: false };
  };

  const axis = (a, bars) => ({
    type: "linear", min: a.min, max: a.max, offset: false,
    title: { display: true, text: a.name, color: colour("quiet") },
    ticks: { color: colour("quiet"), precision: a.whole ? 0 : undefined, stepSize: bars ? 0.1 : undefined },
    grid: { color: colour("line"), drawBorder: false, offset: false },
  });

  const options = (spec) => ({
    animation: false, responsive: true, maintainAspectRatio: false,
    interaction: { mode: spec.series.some((s) => s.dots) ? "nearest" : "index", intersect: false, axis: spec.series.some((s) => s.dots) ? "xy" : "x" },
    scales: { x: axis(spec.x, spec.kind === "bars"), y: { ...axis(spec.y), beginAtZero: spec.kind === "bars" } },
    plugins: {
      legend: { display: spec.series.length > 1, position: "top", align: "start", labels: { color: colour("text"), boxWidth: 18, boxHeight: 2, filter: (item) => item.text } },
      tooltip: {
        filter: (item) => item.dataset.label,
        callbacks: {
          title: (items) => items.length && spec.kind === "bars" ? `${spec.x.name} ${short(items[0].parsed.x - spec.width / 2)} to ${short(items[0].parsed.x + spec.width / 2)}`
                                         : items.length ? `${spec.x.name} ${short(items[0].parsed.x)}` : "",
          label: (item) => ` ${item.raw.id || item.dataset.label}: ${short(item.parsed.y)}`,
        },
      },
      mark: spec.mark || {},
    },
  });

  const build = (spec) => {
    const canvas = document.getElementById(spec.id);
    if (!canvas) return;
    const data = { datasets: spec.series.map((s) => dataset(spec, s)) };
    spec.series.forEach((s, k) => (s.ids || []).forEach((id, i) => { data.datasets[k].data[i].id = id; }));
    charts.push({ spec, chart: new Chart(canvas, { type: spec.kind === "bars" ? "bar" : "line", data, options: options(spec), plugins: [mark] }) });
  };

  const recolour = () => charts.forEach(({ spec, chart }) => {
    spec.series.forEach((s, k) => { const { data, ...rest } = dataset(spec, s); Object.assign(chart.data.datasets[k], rest); });
    chart.options = options(spec);
    chart.update("none");
  });

  // The numbers behind each chart, for those who read rather than look: filled when opened.
  const table = (spec, into) => {
    const rows = spec.series.filter((s) => s.name).flatMap((s) => s.points.map(([x, y], i) => [(s.ids || [])[i] || s.name, short(x), short(y)]));
    const t = document.createElement("table");
    const row = (cells, kind) => { const r = t.insertRow(); cells.forEach((c) => { const e = document.createElement(kind); e.textContent = c; r.append(e); }); };
    row(["", spec.x.name, spec.y.name], "th");
    rows.forEach((r) => row(r, "td"));
    into.append(t);
  };

  specs.forEach(build);
  document.querySelectorAll("details.chart-data").forEach((d) => d.addEventListener("toggle", () => {
    const box = d.querySelector("div");
    if (d.open && !box.firstChild) table(specs.find((s) => s.id === d.dataset.chart), box);
  }));
  document.querySelectorAll("input[data-hides]").forEach((box) => {
    const apply = () => document.getElementById("pictures").classList.toggle("hide-" + box.dataset.hides, !box.checked);
    box.addEventListener("change", apply);
    apply();
  });
  document.querySelectorAll(".zoom").forEach((b) => b.addEventListener("click", () => b.setAttribute("aria-expanded", String(b.getAttribute("aria-expanded") !== "true"))));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details.fold").forEach((d) => { d.open = d.open || d.dataset.print === "yes"; });
    recolour();
  });
  addEventListener("afterprint", recolour);
})();
