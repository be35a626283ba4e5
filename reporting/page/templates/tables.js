// Tables that sort by a click on a heading and filter by word and group; claims that filter by verdict.
"use strict";

for (const table of document.querySelectorAll("table.sheet")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sortBy(column)));

  function sortBy(column) {
    const head = heads[column];
    const now = head.getAttribute("aria-sort");
    const first = head.dataset.first === "desc" ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = now === first ? other : now === other ? "none" : first;
    heads.forEach((each) => each.setAttribute("aria-sort", each === head ? order : "none"));
    const sign = order === "descending" ? -1 : 1;
    const numeric = head.classList.contains("n");
    const key = (row) => row.cells[column].dataset.v;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === ""); // what is undefined stands last, either way
      return sign * (numeric ? Number(x) - Number(y) : x.localeCompare(y));
    };
    body.append(...(order === "none" ? rows : [...rows].sort(compare)));
  }

  const bar = document.querySelector(`.toolbar[data-for="${CSS.escape(table.id.replace("sheet-", ""))}"]`);
  if (!bar) continue;
  const words = bar.querySelector("input");
  const groups = [...bar.querySelectorAll("[data-group]")];
  const count = bar.querySelector("output");

  function filter() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hidden = new Set(groups.filter((b) => b.getAttribute("aria-pressed") === "false").map((b) => b.dataset.group));
    let left = 0;
    for (const row of rows) {
      const text = `${row.textContent} ${row.dataset.method || ""}`.toLowerCase();
      row.hidden = hidden.has(row.dataset.group) || !wanted.every((word) => text.includes(word));
      left += !row.hidden;
    }
    count.textContent = left === rows.length ? `${left} rows` : `${left} of ${rows.length} rows`;
  }
  words.addEventListener("input", filter);
  for (const button of groups) button.addEventListener("click", () => { toggle(button); filter(); });
}

function toggle(button) {
  button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") === "false");
}

for (const button of document.querySelectorAll("[data-verdict][aria-pressed]")) {
  button.addEventListener("click", () => {
    toggle(button);
    const on = button.getAttribute("aria-pressed") === "true";
    for (const claim of document.querySelectorAll(`.claim[data-verdict="${button.dataset.verdict}"]`)) claim.hidden = !on;
    for (const family of document.querySelectorAll(".family")) family.hidden = !family.querySelector(".claim:not([hidden])");
  });
}
