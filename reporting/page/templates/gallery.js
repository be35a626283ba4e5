// The gallery: which dialogue, rows and seed are shown, in which order dialogues stand, and the player's controls.
"use strict";

const state = { dialogue: 0, seed: "", methods: new Set(STUDY.first), metric: "", of: "", sound: "both" };
const player = new SyncPlayer(showTime);
let tiles = { user: null, avatar: null, methods: [] };

function startGallery() {
  if (!byId("stage")) return;
  const clipMetrics = STUDY.metrics.filter((metric) => STUDY.methods.some((method) => method.seeds.some(
    (run) => measured(method.name, run.seed, metric.key)?.clips)));
  const seeds = [...new Set(Object.values(STUDY.videos).flatMap((bySeed) => Object.keys(bySeed)))].sort((a, b) => a - b);
  fill(byId("dialogue"), STUDY.dialogues.map((dialogue, index) => [index, dialogue.id]));
  fill(byId("seed"), seeds.map((seed) => [seed, seed]));
  const entry = (metric) => [metric.key, `${metric.label} ${metric.arrow}`];
  fill(byId("metric"), clipMetrics.filter((m) => m.first).map(entry), "in the tables");
  fill(byId("metric"), clipMetrics.filter((m) => !m.first).map(entry), "further ones");
  const generated = STUDY.methods.filter((method) => STUDY.videos[method.name]);
  fill(byId("of"), generated.map((method) => [method.name, method.label]));
  state.seed = seeds[0] || "";
  state.of = STUDY.first[0] || byId("of").value;
  const first = clipMetrics.find((metric) => ranked(state.of, seedOf(state.of), metric).some((each) => each.bad !== null));
  state.metric = first?.key || byId("metric").value;
  showChoices(generated);
  connect();
  show();
}

function fill(select, options, label) {
  if (!options.length) return;
  const place = label ? select.appendChild(el("optgroup", { label })) : select;
  place.append(...options.map(([value, text]) => el("option", { value }, text)));
}

function showChoices(generated) {
  for (const group of Object.keys(STUDY.groups)) {
    const rows = generated.filter((method) => method.group === group);
    if (!rows.length) continue;
    byId("methods").append(el("fieldset", {}, el("legend", {}, STUDY.groups[group]), ...rows.map((method) => el("label", {},
      el("input", {
        type: "checkbox", value: method.name, checked: state.methods.has(method.name),
        change: (event) => { state.methods[event.target.checked ? "add" : "delete"](method.name); show(); },
      }), el("span", { class: `dot g-${group}` }, method.label)))));
  }
}

/** The seed of a row that is shown: the chosen one, else the lowest that came along. */
function seedOf(name) {
  const seeds = Object.keys(STUDY.videos[name] || {});
  return seeds.includes(state.seed) ? state.seed : seeds.sort((a, b) => a - b)[0];
}

/** Go to the gallery with another choice: {dialogue, seed, metric, of}. */
function openGallery(choice) {
  const seeds = Object.keys(STUDY.videos[choice.of] || {});
  state.methods.add(choice.of);
  state.dialogue = choice.dialogue;
  if (seeds.includes(String(choice.seed))) state.seed = String(choice.seed);
  Object.assign(state, { metric: choice.metric, of: choice.of });
  for (const box of byId("methods").querySelectorAll("input")) box.checked = state.methods.has(box.value);
  player.frame = 0;
  show();
  byId("gallery").scrollIntoView();
}

function show() {
  byId("dialogue").value = state.dialogue;
  byId("seed").value = state.seed;
  byId("metric").value = state.metric;
  byId("of").value = state.of;
  byId("chosen").textContent = `Rows shown: ${state.methods.size} of ${Object.keys(STUDY.videos).length} (choose)`;
  showRanking();
  showTiles();
  showTimeline();
}

function showRanking() {
  const metric = METRICS.get(state.metric);
  const order = metric ? ranked(state.of, seedOf(state.of), metric) : [];
  const place = byId("ranking");
  const bad = order.map((each) => each.bad).filter((value) => value !== null);
  if (!bad.length) {
    place.replaceChildren(el("p", { class: "absent" }, "This row has no values of this metric by dialogue."));
    return;
  }
  const [low, high] = [Math.min(...bad), Math.max(...bad)];
  const prefix = commonPrefix(STUDY.dialogues.map((dialogue) => dialogue.id));
  const bars = order.map(({ index, value, bad: own }) => {
    const why = measured(state.of, seedOf(state.of), metric.key).reasons[index] || "undefined";
    const text = `${STUDY.dialogues[index].id}: ${own === null ? why : shown(value)}`;
    const height = own === null ? 0 : high > low ? 15 + (85 * (high - own)) / (high - low) : 100;
    return el("button", {
      type: "button", title: text, "aria-label": text, "aria-pressed": index === state.dialogue,
      class: own === null ? "gone" : null, "data-index": index,
      click: () => { state.dialogue = index; player.frame = 0; show(); },
    }, el("i", { style: `height:${height}%` }), el("span", {}, STUDY.dialogues[index].id.slice(prefix)));
  });
  place.replaceChildren(el("span", { class: "end" }, "worst"), el("div", { class: "bars" }, ...bars), el("span", { class: "end" }, "best"));
}

function commonPrefix(names) {
  let length = 0;
  while (names.length > 1 && names.every((name) => length < name.length - 1 && name[length] === names[0][length])) length += 1;
  return length;
}

function showTiles() {
  const dialogue = STUDY.dialogues[state.dialogue];
  const people = dialogue.people || ["", ""];
  tiles = { methods: [] };
  const nodes = [
    tile("User", people[0], "given", dialogue.user, (video) => (tiles.user = video), speech("user")),
    tile("True avatar", people[1], "given", dialogue.avatar, (video) => (tiles.avatar = video), speech("avatar")),
  ];
  for (const method of STUDY.methods.filter((each) => state.methods.has(each.name))) {
    const seed = seedOf(method.name);
    const why = (STUDY.videos[method.name]?.[seed] || {})[dialogue.id];
    const source = why ? { why } : { src: `videos/${method.name}/seed${seed}/${encodeURIComponent(dialogue.id)}.mp4` };
    const node = tile(method.label, `seed ${seed}`, method.group, source, (video) => tiles.methods.push(video), values(method, seed));
    node.dataset.method = method.name;
    nodes.push(node);
  }
  byId("stage").replaceChildren(...nodes);
  const videos = [tiles.user, tiles.avatar, ...tiles.methods].filter(Boolean);
  byId("scrub").max = Math.max(0, dialogue.frames - 1);
  player.load(videos, dialogue.frames || 1).catch(trouble);
  applySound();
}

function tile(label, small, group, source, keep, below) {
  let picture;
  if (source.src) {
    picture = el("video", { src: source.src, preload: "auto", playsinline: true, "aria-label": label });
    picture.muted = true;
    picture.disableRemotePlayback = true;
    picture.addEventListener("error", () => {
      if (picture.getAttribute("src")) picture.replaceWith(el("div", { class: "hole" }, `${source.src} does not play here`));
    });
    keep(picture);
  } else picture = el("div", { class: "hole" }, source.why);
  return el("article", { class: `tile g-${group}` }, el("h4", {}, label, " ", el("small", {}, small)), picture, below);
}

/** Where what this side says just now is shown. */
function speech(role) {
  return el("div", { class: `speech ${role}`, "data-role": role });
}

/** The chosen metric and the first of the tables' own, for the shown clip. */
function values(method, seed) {
  const chosen = METRICS.get(state.metric);
  const others = STUDY.metrics.filter((m) => m.first && m !== chosen && measured(method.name, seed, m.key)?.clips).slice(0, 3);
  const list = el("dl", {});
  for (const metric of [chosen, ...others].filter(Boolean)) {
    const got = measured(method.name, seed, metric.key);
    const why = got ? got.reasons[state.dialogue] : "not measured";
    list.append(el("div", { class: metric === chosen ? "chosen" : null }, el("dt", {}, `${metric.label} ${metric.arrow}`),
      el("dd", { title: why || null }, why ? `– ${why}` : shown(got.clips?.[state.dialogue], 3))));
  }
  return el("div", {}, list, el("button", { type: "button", class: "more", click: () => showClip(method.name, seed, state.dialogue) }, "All values, JSON"));
}

function showTimeline() {
  const dialogue = STUDY.dialogues[state.dialogue];
  const total = dialogue.seconds || 1;
  const block = (start, end, text, kind) => el("button", {
    type: "button", class: `block ${kind}`, title: `${start.toFixed(2)} s: ${text}`, "data-start": start, "data-end": end,
    style: `left:${(100 * start) / total}%;width:${(100 * (end - start)) / total}%`, click: () => goTo(start),
  }, text);
  const lane = (name, blocks) => el("div", { class: "lane" }, el("span", { class: "who" }, name), el("div", { class: "track" }, ...blocks));
  const of = (role) => dialogue.turns.filter((turn) => turn[2] === role).map(([start, end, , text]) => block(start, end, text, role));
  const events = dialogue.events.map((e) => block(e.start, e.end, e.cues.length ? `${e.text} (cue: ${e.cues.join(", ")})` : e.text, "event"));
  byId("about-events").hidden = !events.length;
  byId("timeline").replaceChildren(lane("User", of("user")), lane("Avatar", of("avatar")),
    ...(events.length ? [lane("Emotion", events)] : []), el("div", { class: "head-track" }, el("i", { id: "playhead" })));
  byId("transcript").replaceChildren(...dialogue.turns.map(([start, end, role, text]) => el("li", { class: role, "data-start": start, "data-end": end },
    el("button", { type: "button", click: () => goTo(start) }, el("time", {}, `${start.toFixed(1)} s`), el("b", {}, role), el("span", {}, text || "(no words)")))));
  if (!dialogue.turns.length) byId("transcript").append(el("li", { class: "absent" }, "No transcript."));
  showTime(player);
}

function goTo(seconds) {
  const resume = player.playing;
  player.stop();
  player.seek(Math.round(seconds * FPS)).then((mine) => mine && resume && player.play()).catch(trouble);
}

function showTime(now) {
  const seconds = now.frame / FPS;
  byId("scrub").value = now.frame;
  byId("clock").textContent = `${seconds.toFixed(2)} s · frame ${now.frame}/${now.frames}`;
  byId("play").textContent = now.playing ? "❚❚" : "▶";
  byId("play").setAttribute("aria-label", now.playing ? "Pause" : "Play");
  const head = byId("playhead");
  if (head) head.style.left = `${(100 * seconds) / (STUDY.dialogues[state.dialogue].seconds || 1)}%`;
  for (const node of document.querySelectorAll(".speech")) {
    const turn = STUDY.dialogues[state.dialogue].turns.find((t) => t[2] === node.dataset.role && t[0] <= seconds && seconds < t[1]);
    node.textContent = turn ? `“${turn[3]}”` : "";
  }
  for (const node of document.querySelectorAll("#timeline .block, #transcript li[data-start]")) {
    node.classList.toggle("now", node.dataset.start <= seconds && seconds < node.dataset.end);
  }
}

/** The avatar's voice comes from its recording, else from the first generated video, which carries it too. */
function applySound() {
  const sources = { user: tiles.user, avatar: tiles.avatar || tiles.methods[0] };
  const wanted = { off: [], user: ["user"], avatar: ["avatar"], both: ["user", "avatar"] }[state.sound];
  player.setSound(wanted.map((role) => sources[role]).filter(Boolean));
}

function trouble(error) {
  byId("trouble").hidden = false;
  byId("trouble").textContent = error.name === "NotAllowedError"
    ? "The browser plays sound only after a click on this page: press play once more."
    : `The browser does not play this: ${error.message}`;
}

function playOrPause() {
  byId("trouble").hidden = true;
  (player.playing ? player.pause() : player.play()).catch(trouble);
}

function otherDialogue(by) {
  state.dialogue = (state.dialogue + by + STUDY.dialogues.length) % STUDY.dialogues.length;
  player.frame = 0;
  show();
}

function connect() {
  byId("previous").addEventListener("click", () => otherDialogue(-1));
  byId("next").addEventListener("click", () => otherDialogue(1));
  byId("dialogue").addEventListener("change", (event) => { state.dialogue = Number(event.target.value); player.frame = 0; show(); });
  for (const key of ["seed", "metric", "of"]) byId(key).addEventListener("change", (event) => { state[key] = event.target.value; show(); });
  byId("play").addEventListener("click", playOrPause);
  byId("back").addEventListener("click", () => player.step(-1).catch(trouble));
  byId("forward").addEventListener("click", () => player.step(1).catch(trouble));
  byId("scrub").addEventListener("input", (event) => goTo(Number(event.target.value) / FPS));
  byId("rate").addEventListener("change", (event) => player.setRate(Number(event.target.value)));
  byId("loop").addEventListener("change", (event) => { player.loop = event.target.checked; });
  for (const input of document.querySelectorAll("input[name=sound]")) input.addEventListener("change", () => { state.sound = input.value; applySound(); });
  document.addEventListener("keydown", keyed);
}

/** Keys work while the gallery is in sight and nothing that takes keys itself has the focus. */
function keyed(event) {
  const box = byId("stage").getBoundingClientRect();
  const seen = box.bottom > 0 && box.top < window.innerHeight;
  if (!seen || dialog.open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea, a, summary, .scroll")) return;
  if (event.key === " " && event.target.closest("button")) return; // it presses the button
  const actions = {
    " ": playOrPause,
    ArrowLeft: () => player.step(event.shiftKey ? -FPS : -1).catch(trouble),
    ArrowRight: () => player.step(event.shiftKey ? FPS : 1).catch(trouble),
    p: () => otherDialogue(-1),
    n: () => otherDialogue(1),
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
}

startGallery();
