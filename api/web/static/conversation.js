// Evidence leads to its words, and the transcript follows the recording. Without this file the links still work.
"use strict";

const still = window.matchMedia("(prefers-reduced-motion: reduce)");
const scrollTo = (element) =>
  element.scrollIntoView({ block: "center", behavior: still.matches ? "auto" : "smooth" });

// -- evidence: the turn, and the quote in it --------------------------------------------------------------------

function unmark() {
  for (const mark of document.querySelectorAll("mark.quote")) {
    const parent = mark.parentNode;
    mark.replaceWith(...mark.childNodes);
    parent.normalize();
  }
}

// Offsets count characters; a string here counts UTF-16 units.
function unitsBefore(text, characters) {
  let units = 0;
  for (const character of text) {
    if (characters-- <= 0) break;
    units += character.length;
  }
  return units;
}

function markQuote(turn, start, end) {
  const text = turn.querySelector(".turn-text").firstChild;
  if (!text || text.nodeType !== Node.TEXT_NODE) return;
  const range = document.createRange();
  range.setStart(text, unitsBefore(text.data, start));
  range.setEnd(text, unitsBefore(text.data, end));
  const mark = document.createElement("mark");
  mark.className = "quote";
  range.surroundContents(mark);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-turn]");
  const turn = link && document.getElementById(`turn-${link.dataset.turn}`);
  if (!turn) return;
  event.preventDefault();
  unmark();
  markQuote(turn, Number(link.dataset.start), Number(link.dataset.end));
  history.replaceState(null, "", link.getAttribute("href"));
  for (const old of document.querySelectorAll(".turn.shown")) old.classList.remove("shown");
  turn.classList.add("shown");
  turn.focus({ preventScroll: true });
  scrollTo(turn);
});

// -- the recording ---------------------------------------------------------------------------------------------

const player = document.querySelector("[data-player]");
if (player) {
  const audio = player.querySelector("audio");
  const follow = player.querySelector("[data-follow]");
  const files = player.querySelector("[data-files]");
  const turns = [...document.querySelectorAll(".turn[data-start]")].map((element) => ({
    element,
    start: Number(element.dataset.start),
    end: Number(element.dataset.end),
  }));
  let offset = Number(audio.dataset.offset);
  let playing = null;

  const nowAt = () => audio.currentTime * 1000 + offset;

  // The last turn that has begun and goes on; between two turns the last one that was said.
  const turnAt = (ms) => {
    const begun = turns.filter((turn) => turn.start <= ms);
    const open = begun.filter((turn) => ms < turn.end);
    return (open.length ? open : begun).at(-1)?.element ?? null;
  };

  const show = () => {
    const turn = turnAt(nowAt());
    if (turn === playing) return;
    playing?.classList.remove("playing");
    playing?.removeAttribute("aria-current");
    playing = turn;
    if (!turn) return;
    turn.classList.add("playing");
    turn.setAttribute("aria-current", "true");
    if (follow.checked && !audio.paused) scrollTo(turn);
  };

  const jump = (ms) => {
    const seek = () => {
      audio.currentTime = Math.max(0, (ms - offset) / 1000);
      show();
    };
    if (audio.readyState >= HTMLMediaElement.HAVE_METADATA) seek();
    else audio.addEventListener("loadedmetadata", seek, { once: true });
    audio.play().catch(() => {});
  };

  audio.addEventListener("timeupdate", show);
  audio.addEventListener("seeked", show);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-jump]");
    if (button) jump(Number(button.dataset.jump));
  });

  files?.addEventListener("change", () => {
    const at = nowAt();
    const wasPlaying = !audio.paused;
    offset = Number(files.selectedOptions[0].dataset.offset);
    audio.src = files.value;
    if (wasPlaying) jump(at);
  });
}
