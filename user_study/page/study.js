// The three views: start, one trial, end. Texts and trials come from data.js, what is kept from storage.js.
"use strict";

const SIDES = ["left", "right"];
const LETTER = {left: "A", right: "B"};
const ENOUGH = 0.9; // of a video must have been played
const find = (place) => document.querySelector(place);
let shownSince = 0;

function make(tag, text, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) element.textContent = text;
  return element;
}

function show(view) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== view;
  find("#memory").hidden = store.works;
  window.scrollTo(0, 0);
  find(`#${view} h1`).focus({preventScroll: true});
}

function alertIn(place, text, scroll = true) {
  find(place).textContent = text;
  find(place).hidden = !text;
  if (text && scroll) find(place).scrollIntoView({block: "nearest"});
}

// Start

function start() {
  const kept = store.read();
  find("#consent-text").replaceChildren(...STUDY.consent.map((text) => make("p", text)));
  find("#rater").value = new URLSearchParams(location.search).get("rater") || "";
  find("#resume").hidden = !kept;
  find("#enter").hidden = Boolean(kept);
  if (kept) {
    const done = kept.answers.filter((answer) => answer.done).length;
    find("#resume-text").textContent = `Answers of rater ${kept.rater} are kept here: ${done} of ${kept.answers.length} steps.`;
  }
  show("start");
}

find("#enter").addEventListener("submit", (event) => {
  event.preventDefault();
  const rater = find("#rater").value.trim();
  if (!find("#consent").checked) return alertIn("#start-alert", "Please tick that you take part voluntarily.");
  if (!/^[A-Za-z0-9_-]{1,40}$/.test(rater)) return alertIn("#start-alert", "Please give a rater id of letters, digits, - and _.");
  alertIn("#start-alert", "");
  store.begin(rater, listOf(rater));
  trial();
});
find("#continue").addEventListener("click", () => (store.state.finished ? end() : trial()));
find("#discard").addEventListener("click", (event) => {
  if (!event.target.dataset.sure) {
    event.target.dataset.sure = "yes";
    event.target.textContent = "Really discard these answers?";
    return;
  }
  store.forget();
  start();
});

// One trial

const current = () => store.state.answers[store.state.position];

function radios(name, options, chosen, choose) {
  return options.map(([value, text]) => {
    const label = make("label");
    const input = make("input", undefined, {type: "radio", name, value, checked: chosen === value});
    input.addEventListener("change", () => {
      choose(value);
      store.write();
      label.closest(".wanting")?.classList.remove("wanting");
      remind();
    });
    label.append(input, make("span", text));
    return label;
  });
}

function avatar(side, answer) {
  const card = find("#avatar").content.cloneNode(true).firstElementChild;
  card.id = side;
  card.querySelector("h2").textContent = card.querySelector(".name").textContent = `Avatar ${LETTER[side]}`;
  const video = card.querySelector("video");
  const seen = card.querySelector(".seen");
  const button = card.querySelector(".play");
  video.src = `videos/${answer[side]}.mp4`;
  video.setAttribute("aria-label", `Conversation with avatar ${LETTER[side]}`);
  const mark = () => {
    seen.textContent = answer.watched[side] ? "✓ watched" : "to be watched";
    seen.classList.toggle("done", answer.watched[side]);
    button.textContent = video.paused ? (answer.watched[side] ? `↻ Again` : `▶ Play ${LETTER[side]}`) : "❚❚ Pause";
  };
  // No native controls: they would lie over the mouth.
  const toggle = () => {
    if (!video.paused) return video.pause();
    find(`#${side === "left" ? "right" : "left"} video`).pause();
    video.play().catch(() => {}); // paused before it began, or broken, which the error event says
  };
  for (const element of [button, video]) element.addEventListener("click", toggle);
  for (const moment of ["play", "pause"]) video.addEventListener(moment, mark);
  for (const moment of ["timeupdate", "ended"]) {
    video.addEventListener(moment, () => {
      let played = 0;
      card.querySelector("progress").value = video.currentTime / video.duration || 0;
      for (let part = 0; part < video.played.length; part++) played += video.played.end(part) - video.played.start(part);
      if (answer.watched[side] || played < ENOUGH * video.duration) return;
      answer.watched[side] = true;
      store.write();
      mark();
      remind();
    });
  }
  video.addEventListener("error", () => {
    answer.broken = true;
    store.write();
    seen.textContent = "This video cannot be played; this step will not count. Please go on.";
    remind();
  });
  mark();
  const scale = card.querySelector(".scale");
  scale.querySelector("legend").textContent = STUDY.appro;
  const options = Object.entries(STUDY.scale).map(([value, label]) => [value, `${value} ${label}`]);
  const chosen = answer.appro[side] === null ? null : String(answer.appro[side]);
  scale.querySelector(".options").append(
    ...radios(`appro-${side}`, options, chosen, (value) => (answer.appro[side] = Number(value))));
  return card;
}

function question(name, text, answer) {
  const box = make("fieldset", undefined, {id: `question-${name}`});
  const words = {left: "Avatar A", same: "No difference", right: "Avatar B"};
  const options = make("div", undefined, {className: "options"});
  options.append(...radios(name, STUDY.choices.map((value) => [value, words[value]]), answer[name], (value) => (answer[name] = value)));
  box.append(make("legend", text), options);
  const card = make("div", undefined, {className: "card"});
  card.append(box);
  return card;
}

function trial() {
  const answer = current();
  const total = store.state.answers.length;
  find("#trial-title").textContent = `Watch both videos, then answer`;
  find("#bar-text").textContent = `Step ${store.state.position + 1} of ${total}`;
  Object.assign(find("#bar"), {max: total, value: store.state.answers.filter((one) => one.done).length});
  find("#pair").replaceChildren(...SIDES.map((side) => avatar(side, answer)));
  find("#choices").replaceChildren(...Object.entries(STUDY.questions).map(([name, text]) => question(name, text, answer)));
  find("#back").disabled = store.state.position === 0;
  find("#next").textContent = store.state.position + 1 < total ? "Next" : "Finish";
  alertIn("#trial-alert", "");
  shownSince = performance.now();
  show("trial");
}

// What is still to do in a trial, as [place of it on the page, what to do].
function wanting(answer) {
  if (answer.broken) return [];
  const found = [];
  for (const side of SIDES) {
    if (!answer.watched[side]) found.push([`#${side} .play`, `Please watch avatar ${LETTER[side]} to the end.`]);
    if (answer.appro[side] === null) found.push([`#${side} fieldset`, `Please rate avatar ${LETTER[side]}.`]);
  }
  for (const [name, text] of Object.entries(STUDY.questions)) {
    if (answer[name] === null) found.push([`#question-${name}`, `Please answer: ${text}`]);
  }
  return found;
}

// Bring a reminder that is shown up to date.
function remind() {
  if (!find("#trial-alert").hidden) alertIn("#trial-alert", wanting(current()).map(([, text]) => text).join("\n"), false);
}

function leave(step) {
  const answer = current();
  answer.seconds = Math.round((answer.seconds + (performance.now() - shownSince) / 1000) * 10) / 10;
  store.state.position += step;
  store.write();
}

find("#answers").addEventListener("submit", (event) => {
  event.preventDefault();
  const missing = wanting(current());
  for (const [place] of missing) find(place).classList.add("wanting");
  alertIn("#trial-alert", missing.map(([, text]) => text).join("\n"));
  if (missing.length) {
    const first = find(missing[0][0]);
    (first.querySelector("input") || first).focus();
    return;
  }
  current().done = true;
  if (store.state.position + 1 < store.state.answers.length) {
    leave(1);
    trial();
  } else {
    leave(0);
    store.state.finished ??= new Date().toISOString();
    store.write();
    end();
  }
});
find("#back").addEventListener("click", () => {
  leave(-1);
  trial();
});
document.addEventListener("keydown", (event) => {
  const side = {a: "left", b: "right"}[event.key.toLowerCase()];
  if (find("#trial").hidden || !side || event.ctrlKey || event.metaKey || event.altKey) return;
  find(`#${side} .play`).click();
});

// End

function end() {
  for (const video of document.querySelectorAll("video")) video.pause();
  find("#end-text").textContent =
    `All ${store.state.answers.length} steps are answered. Please save the file and hand it to whoever invited you.`;
  find("#end-note").textContent = "";
  find("#copy").value = ratingsText();
  show("end");
}

find("#save").addEventListener("click", () => (find("#end-note").textContent = `Saved as ${saveRatings()}.`));
find("#again").addEventListener("click", () => {
  store.state.position = 0;
  trial();
});
find("#forget").addEventListener("click", (event) => {
  if (!event.target.dataset.sure) {
    event.target.dataset.sure = "yes";
    event.target.textContent = "Really delete? Save the file first.";
    return;
  }
  store.forget();
  location.reload();
});

start();
