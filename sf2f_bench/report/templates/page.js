"use strict";
(() => {
  const collator = new Intl.Collator("en", { numeric: true });
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // ---- sorting: best first, worst first, as it was
  const valueOf = (row, column) => row.cells[column].dataset.value;
  const compare = (one, other, sign) => {
    if (one === undefined || other === undefined) return (one === undefined) - (other === undefined); // missing last
    const [a, b] = [Number(one), Number(other)];
    return sign * (Number.isNaN(a) || Number.isNaN(b) ? collator.compare(one, other) : a - b);
  };
  const sortBy = (header) => {
    const body = header.closest("table").tBodies[0];
    const best = header.dataset.better === "higher" ? "descending" : "ascending";
    const worst = best === "ascending" ? "descending" : "ascending";
    const next = { none: best, [best]: worst, [worst]: "none" }[header.getAttribute("aria-sort")];
    all("[aria-sort]", header.parentElement).forEach((other) => other.setAttribute("aria-sort", "none"));
    header.setAttribute("aria-sort", next);
    const rows = [...body.rows].sort((a, b) => a.dataset.place - b.dataset.place);
    if (next !== "none") {
      const sign = next === "ascending" ? 1 : -1;
      rows.sort((a, b) => compare(valueOf(a, header.cellIndex), valueOf(b, header.cellIndex), sign));
    }
    body.classList.toggle("sorted", next !== "none");
    body.append(...rows);
  };
  all("table.sortable tbody").forEach((body) => [...body.rows].forEach((row, place) => { row.dataset.place = place; }));
  all(".sort").forEach((button) => button.addEventListener("click", () => sortBy(button.closest("th"))));

  // ---- floors and ceilings: lines in the bars, and rows for who asks
  const fold = (button, isFolded) => {
    document.getElementById(button.getAttribute("aria-controls")).classList.toggle("folded", isFolded);
    button.setAttribute("aria-expanded", String(!isFolded));
  };
  all(".unfold").forEach((button) => {
    button.hidden = false;
    fold(button, true);
    button.addEventListener("click", () => fold(button, button.getAttribute("aria-expanded") === "true"));
  });

  // ---- filtering
  const filterable = all("[data-kind]");
  const rowsOfTables = all("table.results tbody tr");
  const shown = document.getElementById("shown");
  const text = document.getElementById("text");
  const boxes = all('input[name="kind"]');
  const filter = () => {
    const kinds = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const wanted = text.value.trim().toLowerCase();
    for (const item of filterable) {
      item.hidden = !(kinds.has(item.dataset.kind) && item.dataset.label.toLowerCase().includes(wanted));
    }
    if (wanted) all(".unfold").forEach((button) => fold(button, false)); // a name may be an anchor's
    const left = rowsOfTables.filter((row) => !row.hidden).length;
    shown.textContent = left === rowsOfTables.length ? "" : `${left} of ${rowsOfTables.length} rows of the tables shown`;
    all(".nothing").forEach((line) => { line.hidden = left > 0; });
  };
  boxes.forEach((box) => box.addEventListener("change", filter));
  text.addEventListener("input", filter);

  // ---- what a mark says, where there is no pointer to rest on it
  all(".results td .mark").forEach((mark) => mark.addEventListener("click", () => mark.closest("td").classList.toggle("open")));

  const words = document.getElementById("words");
  words?.addEventListener("click", () => {
    words.setAttribute("aria-pressed", String(document.body.classList.toggle("in-words")));
  });

  // ---- light and dark
  const theme = document.getElementById("theme");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const show = () => theme.setAttribute("aria-pressed", String(isDark()));
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; show(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);

  // ---- where one is: the last linked part that begins above the upper third of the window
  const side = document.querySelector("#side details");
  const isNarrow = matchMedia("(max-width: 62rem)");
  const fit = () => { side.open = !isNarrow.matches; };
  isNarrow.addEventListener("change", fit);
  const links = all("nav a").map((link) => [link, document.getElementById(link.hash.slice(1))]).filter(([, part]) => part);
  let last = null;
  const locate = () => {
    const above = links.filter(([, part]) => part.getBoundingClientRect().top < innerHeight / 3);
    const isAtEnd = scrollY > 0 && innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    const here = (isAtEnd ? links : above.length ? above : links.slice(0, 1)).at(-1)?.[0];
    if (here === last) return;
    last?.removeAttribute("aria-current");
    here?.setAttribute("aria-current", "location");
    if (!isNarrow.matches) here?.scrollIntoView({ block: "nearest" });
    last = here;
  };
  addEventListener("scroll", () => requestAnimationFrame(locate), { passive: true });

  // ---- voices of the first faces: the gallery's recordings
  all(".play").forEach((button) => button.addEventListener("click", () => {
    const chapter = button.closest("main > section");
    const audio = all(".gallery .person", chapter)[Number(button.dataset.voice)]?.querySelector("audio");
    if (audio) audio.paused ? audio.play() : audio.pause();
  }));

  // ---- one voice at a time; everything open on paper
  document.addEventListener("play", (event) => all("audio").forEach((audio) => { if (audio !== event.target) audio.pause(); }), true);
  addEventListener("beforeprint", () => {
    all(".provenance > details, .notes").forEach((details) => { details.open = true; });
    all(".unfold").forEach((button) => fold(button, false));
  });

  document.getElementById("tools").hidden = false;
  show();
  fit();
  locate();
  filter(); // a browser may have kept the boxes of the last visit
})();
