"use strict";
// The pages work without this. It tells how long ago things were, and keeps the list up to date.
(() => {
  const MINUTE = 60, HOUR = 3600, DAY = 86400, EVERY = 3000, SLOWEST = 60000;

  const ago = (seconds) => {
    const size = Math.abs(seconds);
    const [number, unit] = size < 60 ? [size, "s"] : size < 2 * HOUR ? [size / MINUTE, "min"] : [size / HOUR, "h"];
    const words = `${Math.round(number)} ${unit}`;
    return seconds >= 0 ? `${words} ago` : `in ${words}`;
  };

  const showTimes = () => {
    for (const time of document.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      if (!time.title) {
        time.title = `${time.textContent} UTC, ${at.toLocaleString()} here`;
        time.dataset.utc = time.textContent;
      }
      const seconds = (Date.now() - at) / 1000;
      time.textContent = Math.abs(seconds) < DAY ? ago(seconds) : time.dataset.utc;
    }
  };

  const keepLive = () => {
    const list = document.getElementById("deliveries");
    const bar = document.getElementById("live");
    if (!list || !list.dataset.live || !bar) return;
    const button = bar.querySelector("button"), status = bar.querySelector("[role=status]");
    const address = list.dataset.live + location.search;
    let tag = null, wait = EVERY, running = true;

    const say = (text) => { if (status.textContent !== text) status.textContent = text; };
    const ids = () => new Set([...list.querySelectorAll(".rows a.what")].map((link) => link.id));

    const put = (html) => {
      const before = ids(), focused = document.activeElement && list.contains(document.activeElement) ? document.activeElement.id : "";
      list.innerHTML = html; // our own template, in which every value is escaped
      showTimes();
      const fresh = [...ids()].filter((id) => !before.has(id));
      for (const id of fresh) document.getElementById(id).closest(".row").classList.add("fresh");
      if (focused && document.getElementById(focused)) document.getElementById(focused).focus({ preventScroll: true });
      if (fresh.length) say(`${fresh.length} new`);
    };

    const look = async () => {
      if (running && !document.hidden) {
        try {
          const answer = await fetch(address, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store", credentials: "same-origin", redirect: "error" });
          if (answer.status === 200) {
            const html = await answer.text();
            if (running) { put(html); tag = answer.headers.get("ETag"); }
          } else if (answer.status !== 304) throw new Error(String(answer.status));
          if (wait !== EVERY) say("");
          wait = EVERY;
        } catch (error) {
          wait = Math.min(2 * wait, SLOWEST);
          say("The list can't be updated now.");
        }
      }
      setTimeout(look, wait);
    };

    button.addEventListener("click", () => {
      running = !running;
      button.setAttribute("aria-pressed", String(running));
      say(running ? "" : "Paused");
    });
    bar.hidden = false;
    setTimeout(look, EVERY);
  };

  showTimes();
  setInterval(showTimes, 15000);
  keepLive();
})();
