"use strict";

const EVERY = 1000;
const main = document.querySelector("main");
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];

function ago(when) {
  const seconds = (new Date(when) - Date.now()) / 1000;
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit);
  }
  return "just now";
}

function showTimes() {
  for (const time of document.querySelectorAll("time")) time.textContent = ago(time.dateTime);
}

// The content of a row, without the time, which this page writes.
function content(row) {
  const copy = row.cloneNode(true);
  for (const time of copy.querySelectorAll("time")) time.textContent = "";
  copy.removeAttribute("class");
  return copy.innerHTML;
}

function show(fetched) {
  const shown = document.getElementById("rows");
  const known = new Map([...shown.querySelectorAll("li")].map((row) => [row.id, row]));
  const focused = document.activeElement.closest("li")?.id;
  const news = [];
  for (const row of fetched.querySelectorAll("li")) {
    const old = known.get(row.id);
    if (old && content(old) === content(row)) {
      row.replaceWith(old);
    } else {
      row.classList.add("new");
      news.push(row.dataset.name);
    }
  }
  shown.replaceWith(fetched);
  showTimes();
  if (focused) document.getElementById(focused)?.querySelector("a")?.focus({ preventScroll: true });
  if (news.length) document.getElementById("news").textContent = `${news.join(", ")}: action needed.`;
}

let latest = null;

async function update() {
  const link = document.getElementById("link");
  try {
    const answer = await fetch(main.dataset.rows, { cache: "no-cache" });
    if (!answer.ok) throw new Error(answer.status);
    const text = await answer.text();
    if (text !== latest) {
      show(new DOMParser().parseFromString(text, "text/html").getElementById("rows"));
      latest = text;
    }
    link.textContent = "Updates automatically.";
    link.classList.remove("lost");
  } catch {
    link.textContent = "No connection. Trying again…";
    link.classList.add("lost");
  }
  setTimeout(update, EVERY);
}

showTimes();
setInterval(showTimes, 30000);
update();
