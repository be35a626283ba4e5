// What this browser keeps of a rater's answers, and the file made of them.
"use strict";

const store = {
  place: `study:${STUDY.study}`,
  works: true,
  state: null,

  // The kept state, or null; a damaged or foreign one counts as none.
  read() {
    try {
      const text = localStorage.getItem(store.place);
      const state = text === null ? null : JSON.parse(text);
      const whole = state && state.study === STUDY.study && Array.isArray(state.answers) && STUDY.lists[state.list];
      store.state = whole && state.answers.length === STUDY.lists[state.list].length ? state : null;
    } catch (problem) {
      store.works = !(problem instanceof DOMException);
      store.state = null;
    }
    return store.state;
  },

  write() {
    try {
      localStorage.setItem(store.place, JSON.stringify(store.state));
    } catch (problem) {
      store.works = false;
    }
  },

  forget() {
    store.state = null;
    try {
      localStorage.removeItem(store.place);
    } catch (problem) {
      store.works = false;
    }
  },

  begin(rater, list) {
    const answers = STUDY.lists[list].map(([left, right], trial) => ({
      trial, left, right, appro: {left: null, right: null},
      ...Object.fromEntries(Object.keys(STUDY.questions).map((name) => [name, null])),
      watched: {left: false, right: false}, broken: false, seconds: 0, done: false,
    }));
    const now = new Date().toISOString();
    store.state = {study: STUDY.study, rater, list, consent: now, started: now, finished: null, position: 0, answers};
    store.write();
  },
};

// Which list a rater gets: the one the address names (?list=2), else one drawn from the rater id, always the same.
function listOf(rater) {
  const asked = new URLSearchParams(location.search).get("list");
  if (asked !== null && STUDY.lists[Number(asked)]) return Number(asked);
  let hash = 2166136261; // FNV-1a
  for (const letter of rater) hash = Math.imul(hash ^ letter.codePointAt(0), 16777619) >>> 0;
  return hash % STUDY.lists.length;
}

// The ratings file's text: everything but the position on the page.
function ratingsText() {
  const {position, ...rest} = store.state;
  return JSON.stringify(rest, null, 1);
}

function saveRatings() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([ratingsText()], {type: "application/json"}));
  link.download = `ratings_${STUDY.study}_${store.state.rater}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  return link.download;
}
