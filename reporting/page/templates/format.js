// Small helpers that the page's other scripts share, and look-ups in STUDY (data/study.js).
"use strict";

const FPS = 25;
const METRICS = new Map(STUDY.metrics.map((metric) => [metric.key, metric]));
const METHODS = new Map(STUDY.methods.map((method) => [method.name, method]));
const byId = (id) => document.getElementById(id);

/** An element with attributes (`class`, `title`, ...; functions become listeners) and children. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** A value for reading: so many significant digits; a dash where undefined. */
function shown(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(digits)));
}

/** What a run measured for one metric, or null: value, asked, undefined, why, clips (array or null), reasons. */
function measured(method, seed, key) {
  const entry = (STUDY.values[`${method}/${seed}`] || {})[key];
  if (!entry) return null;
  const [value, asked, failed, why, clips, reasons] = entry;
  return { value, asked, failed, why, clips, reasons: reasons || {} };
}

/** How bad a dialogue's value is for a run: smaller is better; null where undefined. */
function badness(method, seed, metric, index) {
  const value = measured(method, seed, metric.key)?.clips?.[index];
  if (value === null || value === undefined) return null;
  if (metric.direction === "higher") return -value;
  if (metric.direction === "lower") return value;
  const truth = measured(method, seed, metric.truth)?.clips?.[index];
  return truth === null || truth === undefined ? null : Math.abs(value - truth);
}

/** Dialogues from worst to best, those without a value last: {index, value, bad}. */
function ranked(method, seed, metric) {
  const clips = measured(method, seed, metric.key)?.clips;
  if (!clips) return [];
  const found = clips.map((value, index) => ({ index, value, bad: badness(method, seed, metric, index) }));
  return found.sort((a, b) => (a.bad === null) - (b.bad === null) || b.bad - a.bad || a.index - b.index);
}

/** Links to a run's files in the report's folder. */
function fileLinks(run) {
  const links = Object.entries(run.files).map(([name, href]) => el("a", { href, target: "_blank" }, name));
  return links.length ? links.flatMap((link) => [link, " "]) : [el("span", { class: "absent" }, "no files")];
}
