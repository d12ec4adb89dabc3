// The pages work without this script. It shows times in the zone of the browser, draws the bars of long tables, filters
// without a reload, and refreshes what has changed.
"use strict";

(() => {
  const page = document.documentElement;
  const main = document.getElementById("main");
  page.classList.add("js");

  // Times

  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const minutes = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

  const span = (seconds) => {
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (seconds >= 2 * size) return `${Math.round(seconds / size)} ${unit}`;
    }
    return `${Math.max(0, Math.round(seconds))} s`;
  };

  const localTime = (at) => {
    const days = Math.abs(Date.now() - at) / 86400e3;
    if (days > 300) return date.format(at);
    return new Date(at).toDateString() === new Date().toDateString() ? clock.format(at) : `${day.format(at)}, ${minutes.format(at)}`;
  };

  const formats = {
    at: localTime,
    date: (at) => date.format(at),
    clock: (at) => minutes.format(at),
    since: (at) => {
      const seconds = (Date.now() - at) / 1000;
      const today = new Date(at).toDateString() === new Date().toDateString();
      return `${today && seconds > 120 ? minutes.format(at) : localTime(at)}, ${span(seconds)}`;
    },
    due: (at) => (at > Date.now() ? `in ${span((at - Date.now()) / 1000)}` : "with the next probe"),
    title: (at, element) => element.dataset.text,
  };

  const localize = (root) => {
    for (const element of root.querySelectorAll("time[data-as], [data-t]")) {
      const at = element.dataset.t ? 1000 * element.dataset.t : Date.parse(element.dateTime);
      element.dataset.text ??= element.textContent;
      const text = formats[element.dataset.as ?? "at"](at, element);
      if (element.textContent !== text) element.textContent = text;
      if (element instanceof HTMLElement) element.title = new Date(at).toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");
    }
  };

  // Table rows: their bars and strips are sent as letters and numbers

  const PHASES = ["resolve", "connect", "tls", "greeting", "capability", "starttls", "login", "folders", "logout"];
  const svg = (name, attributes, parent) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent?.append(made);
    return made;
  };

  const drawStrip = (line) => {
    const paths = { up: "", login: "", down: "" };
    let failed = 0;
    const letters = line.dataset.s;
    [...letters].forEach((letter, index) => {
      const x = 3 * (100 - letters.length + index);
      const level = "abcdefgh".indexOf(letter.toLowerCase());
      const height = level < 0 ? 24 : 2 + 2.4 * level;
      const bar = `M${x} ${24 - height}h2v${height}h-2z`;
      if (level < 0) paths.down += bar;
      else if (letter < "a") paths.login += `M${x} 0h2v3h-2z${bar}`;
      else paths.up += bar;
      failed += level < 0 || letter < "a";
    });
    const name = `${letters.length} probes, ${failed || "none"} failed`;
    const drawn = svg("svg", { class: "strip", viewBox: "0 0 300 24", preserveAspectRatio: "none", role: "img", "aria-label": name });
    for (const [state, d] of Object.entries(paths)) if (d) svg("path", { class: state, d }, drawn);
    if (!failed) return drawn;
    const link = document.createElement("a");
    link.href = `${line.querySelector("th a").getAttribute("href")}#failures`;
    link.tabIndex = -1;
    link.append(drawn);
    return link;
  };

  const drawBar = (line) => {
    const all = line.dataset.p.split(",").map((number) => number && Number(number));
    const total = all.reduce((sum, ms) => sum + (ms || 0), 0) || 1;
    const name = PHASES.map((phase, index) => all[index] !== "" && `${phase} ${all[index]} ms`).filter(Boolean).join(", ");
    const drawn = svg("svg", { class: "bar", viewBox: "0 0 1000 10", preserveAspectRatio: "none", role: "img", "aria-label": name });
    svg("title", {}, drawn).textContent = name;
    let x = 0;
    PHASES.forEach((phase, index) => {
      if (!all[index]) return;
      const width = (1000 * all[index]) / total;
      svg("rect", { class: phase, x: x.toFixed(1), width: width.toFixed(1), height: 10 }, drawn);
      x += width;
    });
    return drawn;
  };

  const draw = (line) => {
    if (line.dataset.p) line.cells[3].append(drawBar(line)); // not before the first probe of this process
    line.cells[4].append(drawStrip(line));
  };

  const visibility = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      visibility.unobserve(target);
      if (!target.cells[4].firstChild) draw(target);
    }
  }, { rootMargin: "600px" });

  const finish = (root) => {
    localize(root);
    const lines = root.matches("tr[data-s]") ? [root] : root.querySelectorAll("tr[data-s]");
    for (const line of lines) visibility.observe(line);
  };

  // Refresh: elements are identified by their keys, and replaced where the server sends something else than before

  const sent = new WeakMap();
  const keyOf = (element) => element.dataset.key ?? element.querySelector("a")?.getAttribute("href") ?? element.tagName;

  const remember = (list) => {
    for (const child of list.children) {
      if (child.dataset.list !== undefined) remember(child);
      else sent.set(child, child.outerHTML);
    }
  };

  const FOCUSABLE = "a, button, input, select, summary, [tabindex]";

  const selected = (element) => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && selection.containsNode(element, true);
  };

  // Open details stay open, and the focused element keeps the focus.
  const replace = (current, fresh) => {
    if (selected(current)) return current;
    const made = document.importNode(fresh, true);
    sent.set(made, fresh.outerHTML);
    const oldDetails = [current, ...current.querySelectorAll("details")].filter((element) => element.localName === "details");
    const newDetails = [made, ...made.querySelectorAll("details")].filter((element) => element.localName === "details");
    oldDetails.forEach((details, index) => { if (newDetails[index]) newDetails[index].open = details.open; });
    for (const input of current.querySelectorAll("input")) {
      const same = made.querySelector(`input[name="${input.name}"][value="${CSS.escape(input.value)}"]`);
      if (same) same.checked = input.checked;
    }
    const focused = current.contains(document.activeElement) && document.activeElement;
    const alike = (element) => element.localName === focused.localName && element.textContent === focused.textContent;
    const focusIndex = focused ? [...current.querySelectorAll(FOCUSABLE)].filter(alike).indexOf(focused) : -1;
    const scrolled = [...current.querySelectorAll(".scroll, .dialogue")].map((element) => [element.scrollTop, element.scrollLeft]);
    current.replaceWith(made);
    finish(made);
    [...made.querySelectorAll(".scroll, .dialogue")].forEach((element, index) => {
      if (scrolled[index]) [element.scrollTop, element.scrollLeft] = scrolled[index];
    });
    if (focusIndex >= 0) [...made.querySelectorAll(FOCUSABLE)].filter(alike)[focusIndex]?.focus({ preventScroll: true });
    return made;
  };

  const reconcile = (list, fresh) => {
    const kept = new Map([...list.children].map((child) => [keyOf(child), child]));
    let next = list.firstElementChild;
    for (const child of [...fresh.children]) {
      let current = kept.get(keyOf(child));
      kept.delete(keyOf(child));
      if (current && current.dataset.list !== undefined) {
        if (current.className !== child.className) current.className = child.className;
        reconcile(current, child);
      } else if (!current) {
        current = document.importNode(child, true);
        if (current.dataset.list === undefined) sent.set(current, child.outerHTML);
        else remember(current);
        list.insertBefore(current, next);
        finish(current);
        continue;
      } else if (sent.get(current) !== child.outerHTML) {
        const isNext = current === next;
        current = replace(current, child);
        if (isNext) next = current;
      }
      if (current === next) next = next.nextElementSibling;
      else list.insertBefore(current, next);
    }
    for (const removed of kept.values()) removed.remove();
  };

  const apply = (fresh) => {
    const focused = document.activeElement;
    for (const list of fresh.querySelectorAll("#main [data-list]")) {
      if (list.parentElement.closest("[data-list]")) continue;
      const current = main.querySelector(`[data-list][data-key="${CSS.escape(list.dataset.key)}"]`);
      if (current) reconcile(current, list);
    }
    document.title = fresh.title;
    const icon = document.querySelector("link[rel=icon]");
    const wanted = fresh.querySelector("link[rel=icon]").getAttribute("href");
    if (icon.getAttribute("href") !== wanted) icon.setAttribute("href", wanted);
    main.dataset.every = fresh.getElementById("main").dataset.every;
    if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
  };

  const updated = document.getElementById("updated");
  const noAnswer = document.getElementById("no-answer");
  const pause = document.getElementById("pause");
  let paused = false, timer = 0, running = null, answeredAt = Date.now();

  const schedule = () => {
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(refresh, 1000 * main.dataset.every);
  };

  const refresh = async () => {
    running?.abort();
    const request = (running = new AbortController());
    const timeout = setTimeout(() => request.abort("late"), 10_000);
    try {
      const answer = await fetch(location.pathname + location.search, { signal: request.signal, cache: "no-cache" });
      if (!answer.ok) throw new Error(`The exporter answers ${answer.status}`);
      const text = await answer.text();
      if (running !== request) return;
      apply(new DOMParser().parseFromString(text, "text/html"));
      answeredAt = Date.now();
      updated.textContent = `Updated ${clock.format(answeredAt)}`;
      noAnswer.hidden = true;
    } catch (error) {
      if (running !== request) return; // a newer request has replaced this one
      const cause = error instanceof TypeError || request.signal.aborted ? "The exporter does not answer" : error.message;
      const message = `${cause} since ${clock.format(answeredAt)}. The page shows the state of that time, and tries again.`;
      if (noAnswer.textContent !== message || noAnswer.hidden) [noAnswer.textContent, noAnswer.hidden] = [message, false];
    } finally {
      clearTimeout(timeout);
      if (running === request) {
        running = null;
        localize(main);
        schedule();
      }
    }
  };

  // Filters are in the URL, so that it can be shared

  const form = document.querySelector("form.filters");
  if (form) {
    let typing = 0;
    const submit = () => {
      const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
      history.replaceState(null, "", location.pathname + (query.size ? `?${query}` : ""));
      refresh();
    };
    form.addEventListener("submit", (event) => { event.preventDefault(); submit(); });
    form.addEventListener("change", (event) => { if (event.target.type !== "search") submit(); });
    form.addEventListener("input", (event) => {
      if (event.target.type !== "search") return;
      clearTimeout(typing);
      typing = setTimeout(submit, 200);
    });
  }

  // A probe takes some time, and a second click would be refused.
  const button = document.querySelector("form[method=post] button");
  button?.form.addEventListener("submit", () => { [button.disabled, button.textContent] = [true, "Probing…"]; });
  addEventListener("pageshow", () => { if (button) [button.disabled, button.textContent] = [false, "Probe now"]; });

  // A URL with the anchor of a kept failure opens it.
  const reveal = () => {
    const named = location.hash === "#failures" ? document.querySelector("[id$='-failures']") : document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!named) return;
    if (named.localName === "details") named.open = true;
    named.scrollIntoView();
  };

  for (const list of main.querySelectorAll("[data-list]")) {
    if (!list.parentElement.closest("[data-list]")) remember(list); // before this script changes it
  }
  finish(document.body);
  if (!main.dataset.every) return;
  reveal();
  addEventListener("hashchange", reveal);
  pause.parentElement.hidden = false;
  updated.textContent = `Updated ${clock.format(answeredAt)}`;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Paused" : "Pause";
    if (paused) clearTimeout(timer);
    else refresh();
  });
  document.addEventListener("visibilitychange", () => { if (document.hidden || paused) clearTimeout(timer); else refresh(); });
  schedule();
})();
