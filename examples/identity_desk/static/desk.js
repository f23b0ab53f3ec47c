"use strict";

const EVERY = 1000;
const SHOWN_FOR = 2500;
const main = document.querySelector("main");
const news = document.getElementById("news");
const relative = new Intl.RelativeTimeFormat("en");
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];
const LONG_AGO = 7 * 86400;

function ago(text) {
  const when = new Date(text);
  const seconds = (when - Date.now()) / 1000;
  if (Math.abs(seconds) >= LONG_AGO) return date.format(when);
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit);
  }
  return "just now";
}

function showTimes() {
  for (const time of document.querySelectorAll("time")) time.textContent = ago(time.dateTime);
}

// Each row as the server sent it, since this page writes times and answers into what it shows.
let sent = new Map();

function remember(rows) {
  sent = new Map([...rows.querySelectorAll("li")].map((row) => [row.id, row.innerHTML]));
}

function show(fetched) {
  const shown = document.getElementById("rows");
  const known = new Map([...shown.querySelectorAll("li")].map((row) => [row.id, row]));
  const focused = document.activeElement;
  const row = focused.closest("li")?.id;
  const before = sent;
  remember(fetched);
  const arrived = [];
  for (const row of fetched.querySelectorAll("li")) {
    if (before.get(row.id) === row.innerHTML) {
      row.replaceWith(known.get(row.id));
    } else {
      row.classList.add("new");
      arrived.push(row.dataset.name);
    }
  }
  shown.replaceWith(fetched);
  showTimes();
  if (row) document.getElementById(row)?.querySelector(focused.localName)?.focus({ preventScroll: true });
  if (arrived.length) news.textContent = `${arrived.join(", ")}: action needed.`;
}

async function copy(button) {
  const link = button.parentElement.querySelector("code");
  const words = button.firstChild;
  const before = words.data;
  try {
    await navigator.clipboard.writeText(link.textContent);
    words.data = "Copied";
  } catch { // a browser that won't: the person copies
    link.parentElement.classList.add("open");
    getSelection().selectAllChildren(link);
    words.data = "Selected";
  }
  news.textContent = `${words.data} the link for ${button.closest("li").dataset.name}.`;
  button.disabled = true;
  setTimeout(() => {
    words.data = before;
    button.disabled = false;
  }, SHOWN_FOR);
}

let latest = null;

async function update() {
  const connection = document.getElementById("connection");
  try {
    const answer = await fetch(main.dataset.rows, { cache: "no-cache" });
    if (!answer.ok) throw new Error(answer.status);
    const text = await answer.text();
    if (text !== latest) {
      show(new DOMParser().parseFromString(text, "text/html").getElementById("rows"));
      latest = text;
    }
    connection.textContent = "Updates automatically.";
    connection.classList.remove("lost");
  } catch {
    connection.textContent = "No connection. Trying again…";
    connection.classList.add("lost");
  }
  setTimeout(update, EVERY);
}

document.documentElement.classList.add("scripted");
remember(document);
document.addEventListener("click", (click) => {
  const button = click.target.closest(".link button");
  if (button) copy(button);
});
showTimes();
setInterval(showTimes, 30000);
update();
