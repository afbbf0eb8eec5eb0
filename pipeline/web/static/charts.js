// The charts, in the colours of the style sheet. Chart.js draws; what it draws also stands in tables beside it.
import { clock, rate, whole } from "./format.js";

const { Chart } = window;
Chart.defaults.animation = false;
Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
Chart.defaults.font.size = 12;

const drawn = new Set();
document.addEventListener("theme", () => {
  for (const redraw of drawn) redraw();
});

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A line over time. `show(points)` takes [{at: milliseconds, value: number | null}]. */
export class TimeLine {
  constructor(canvas, title, tone) {
    this.canvas = canvas;
    this.title = title;
    this.tone = tone;
    this.chart = new Chart(canvas, {
      type: "line",
      data: { datasets: [{ label: title, data: [], borderWidth: 2, pointRadius: 0, pointHitRadius: 12, cubicInterpolationMode: "monotone", fill: true, spanGaps: false }] },
      options: {
        responsive: true,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        plugins: {
          legend: { display: false },
          tooltip: {
            displayColors: false,
            callbacks: { title: (items) => clock(items[0].parsed.x), label: (item) => `${rate(item.parsed.y)} a second` },
          },
        },
        scales: {
          x: { type: "linear", grid: { display: false }, ticks: { maxTicksLimit: 6, maxRotation: 0, callback: (value) => clock(value) } },
          y: { beginAtZero: true, border: { display: false }, ticks: { maxTicksLimit: 4, callback: (value) => rate(value) }, afterFit: (axis) => { axis.width = 52; } },
        },
      },
    });
    this.paint();
    drawn.add(() => this.paint());
  }

  show(points) {
    const dataset = this.chart.data.datasets[0];
    dataset.data = points.map((point) => ({ x: point.at, y: point.value }));
    // A point between two gaps is no line: it is drawn as a point.
    dataset.pointRadius = points.map((point, index) => (point.value !== null && (points[index - 1]?.value ?? null) === null && (points[index + 1]?.value ?? null) === null ? 3 : 0));
    const [first, last] = [points[0], points.at(-1)];
    Object.assign(this.chart.options.scales.x, { min: first?.at, max: last?.at });
    this.chart.update();
    const values = points.map((point) => point.value).filter((value) => value !== null);
    this.canvas.setAttribute(
      "aria-label",
      values.length
        ? `${this.title}: now ${rate(values.at(-1))}, between ${rate(Math.min(...values))} and ${rate(Math.max(...values))} since ${clock(first.at)}`
        : `${this.title}: no figures yet`,
    );
  }

  paint() {
    const dataset = this.chart.data.datasets[0];
    dataset.borderColor = colour(this.tone);
    dataset.backgroundColor = colour(`${this.tone}-wash`);
    dataset.pointBackgroundColor = dataset.borderColor;
    for (const axis of Object.values(this.chart.options.scales)) {
      axis.ticks.color = colour("soft");
      axis.grid.color = colour("line");
    }
    this.chart.update();
  }
}

/** The donut of levels. `show({HIGH: 1, ...})`. */
export class Donut {
  constructor(canvas, levels) {
    this.canvas = canvas;
    this.levels = levels;
    this.chart = new Chart(canvas, {
      type: "doughnut",
      data: { labels: levels, datasets: [{ data: levels.map(() => 0), borderWidth: 3 }] },
      options: {
        responsive: true,
        maintainAspectRatio: false,
        cutout: "74%",
        plugins: { legend: { display: false }, tooltip: { callbacks: { label: (item) => `${item.label}: ${whole(item.raw)}` } } },
      },
    });
    this.paint();
    drawn.add(() => this.paint());
  }

  show(counts) {
    const values = this.levels.map((name) => counts[name] ?? 0);
    const total = values.reduce((sum, value) => sum + value, 0);
    // An empty ring rather than nothing.
    this.isEmpty = total === 0;
    this.chart.data.datasets[0].data = this.isEmpty ? [1] : values;
    this.chart.options.plugins.tooltip.enabled = !this.isEmpty;
    this.paint();
    const parts = this.levels.map((name, index) => `${name} ${whole(values[index])}`);
    this.canvas.setAttribute("aria-label", `Flagged events by level: ${parts.join(", ")}`);
  }

  paint() {
    const dataset = this.chart.data.datasets[0];
    dataset.backgroundColor = this.isEmpty ? [colour("line")] : this.levels.map((name) => colour(`${name.toLowerCase()}-fill`));
    dataset.borderColor = colour("card");
    this.chart.update();
  }
}
