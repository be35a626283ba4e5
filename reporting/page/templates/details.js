// What stands behind a number: values by seed, best and worst dialogues, and the JSON files of its runs.
"use strict";

const dialog = byId("details");

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.num");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  showDetails(link.dataset.methods.split(","), link.dataset.key);
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

/** The dialog for one number: `key` is its `metric/part`, or another column's name, or empty. */
function showDetails(names, key) {
  const metric = METRICS.get(key);
  const methods = names.map((name) => METHODS.get(name)).filter(Boolean);
  const body = byId("details-body");
  body.replaceChildren(
    el("h2", { id: "details-head" }, methods.map((method) => method.label).join(" and ")),
    metric ? el("p", {}, el("strong", {}, `${metric.label} ${metric.arrow}`), ` [${metric.unit}] ${metric.protocol}.`) : "",
    ...methods.flatMap((method) => methodDetails(method, metric, methods.length > 1)),
  );
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function methodDetails(method, metric, named) {
  const heads = ["seed", ...(metric ? ["value", "files", "undefined"] : ["files"]), "state", "commit"];
  const lines = method.seeds.map((run) => {
    const got = metric && measured(method.name, run.seed, metric.key);
    const failed = got ? (got.failed ? `${got.failed} of ${got.asked}: ${got.why}` : "none") : "not measured";
    const cells = metric ? [run.seed, shown(got?.value), null, failed] : [run.seed, null];
    return el("tr", {}, ...[...cells, run.status, run.commit].map((cell) =>
      cell === null ? el("td", { class: "links" }, ...fileLinks(run)) : el("td", {}, String(cell))));
  });
  const table = el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, ...lines));
  return [named ? el("h3", {}, method.label) : null, el("div", { class: "scroll" }, table), ...extremes(method, metric)].filter(Boolean);
}

/** Links to the gallery: the three worst and the three best dialogues of the first seed with values by dialogue. */
function extremes(method, metric) {
  if (!metric) return [];
  const run = method.seeds.find((each) => measured(method.name, each.seed, metric.key)?.clips);
  const order = run ? ranked(method.name, run.seed, metric).filter((each) => each.bad !== null) : [];
  if (!order.length) return [el("p", { class: "small" }, "No values by dialogue: this metric has one value of the whole set.")];
  const button = ({ index, value }) => el("button", {
    type: "button",
    click: () => { dialog.close(); openGallery({ dialogue: index, seed: run.seed, metric: metric.key, of: method.name }); },
  }, `${STUDY.dialogues[index].id} (${shown(value)})`);
  const number = Math.min(3, Math.ceil(order.length / 2));
  return [
    el("p", { class: "watch" }, `Worst of seed ${run.seed}`, ...order.slice(0, number).map(button)),
    el("p", { class: "watch" }, `Best of seed ${run.seed}`, ...order.slice(number).slice(-number).reverse().map(button)),
  ];
}

/** The dialog for one clip in the gallery: every value that this run has for it. */
function showClip(name, seed, index) {
  const method = METHODS.get(name);
  const run = method.seeds.find((each) => String(each.seed) === String(seed));
  const rows = [];
  for (const metric of STUDY.metrics) {
    const got = measured(name, seed, metric.key);
    if (!got?.clips) continue;
    const truth = metric.truth ? measured(name, seed, metric.truth)?.clips?.[index] : undefined;
    const goal = truth === undefined ? "" : ` (truth ${shown(truth)})`;
    rows.push(el("tr", {}, el("td", {}, `${metric.label} ${metric.arrow}`),
      el("td", { class: "n" }, got.reasons[index] ? `– ${got.reasons[index]}` : shown(got.clips[index]) + goal)));
  }
  byId("details-body").replaceChildren(
    el("h2", { id: "details-head" }, `${method.label}, ${STUDY.dialogues[index].id}, seed ${seed}`),
    el("p", {}, "Provenance: ", ...fileLinks(run)),
    rows.length ? el("table", { class: "plain" }, el("tbody", {}, ...rows)) : el("p", { class: "absent" }, run.status));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}
