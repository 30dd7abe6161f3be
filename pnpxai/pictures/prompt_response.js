(() => {
  const root = document.currentScript.closest(".pnx");
  const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const units = [...root.querySelectorAll(".pnx-unit")], parts = [...root.querySelectorAll(".pnx-part")];
  const status = root.querySelector(".pnx-status"), nUnits = data.units.length - data.parts.length;
  const half = (data.colours.length - 1) / 2;
  const totals = data.values[0].map((_, k) => data.values.reduce((sum, row) => sum + row[k], 0));
  let pinned = null;
  const text = (v) => v.toPrecision(3);
  const paint = (element, share, value) => {
    const level = Math.round(half + half * Math.max(-1, Math.min(1, share || 0)));
    element.style.background = "#" + data.colours[level];
    element.style.color = data.inks[level];
    element.title = text(value);
  };
  const clear = (element) => { element.style.background = element.style.color = ""; element.title = ""; };
  const legend = (limit) => {
    root.querySelector(".pnx-low").textContent = text(-limit);
    root.querySelector(".pnx-high").textContent = text(limit);
  };
  const show = (r) => {
    const row = r === null ? totals : data.values[r];
    const limit = Math.max(...row.map(Math.abs)) || 1;
    legend(limit);
    units.forEach((u) => { const k = +u.dataset.k; paint(u, row[k] / limit, row[k]); });
    parts.forEach((p, k) => {
      p.classList.toggle("pnx-on", k === r);
      p.setAttribute("aria-pressed", String(k === pinned));
      const v = row[nUnits + k];
      if (v !== undefined && k !== r && r !== null) paint(p, v / limit, v); else clear(p);
    });
    const order = row.map((v, k) => [Math.abs(v), k]).sort((a, b) => b[0] - a[0]).slice(0, 5);
    const names = order.map(([, k]) => `${data.units[k].trim().slice(0, 40) || "\u23CE"} ${text(row[k])}`);
    status.textContent = (r === null ? "All of the response: " : `"${data.parts[r].trim()}": `) + names.join(" \u00B7 ");
  };
  const served = (k) => {
    const column = data.values.map((row) => row[k]), limit = Math.max(...column.map(Math.abs)) || 1;
    legend(limit);
    parts.forEach((p, r) => paint(p, column[r] / limit, column[r]));
    const shown = pinned === null ? totals[k] : data.values[pinned][k];
    status.textContent = `"${data.units[k].trim().slice(0, 80)}": ${text(shown)}` +
      (pinned === null ? " for all of the response" : ` for "${data.parts[pinned].trim()}"`);
  };
  const reveal = (r) => {  // in a long prompt, what matters most may stand out of sight
    const box = root.querySelector(".pnx-prompt"), weight = (u) => Math.abs(data.values[r][+u.dataset.k]);
    const best = units.reduce((a, b) => (weight(b) > weight(a) ? b : a), units[0]);
    if (best) box.scrollTop = best.offsetTop - box.offsetTop - (box.clientHeight - best.offsetHeight) / 2;
  };
  const reset = () => show(pinned);
  parts.forEach((p, r) => {
    p.addEventListener("mouseenter", () => show(r));
    p.addEventListener("mouseleave", reset);
    p.addEventListener("focus", () => show(r));
    p.addEventListener("blur", reset);
    p.addEventListener("click", () => { pinned = pinned === r ? null : r; show(pinned === null ? r : pinned); if (pinned !== null) reveal(r); });
    p.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const ends = { Home: 0, End: parts.length - 1 }[event.key];
      if (move !== undefined || ends !== undefined) {
        const next = ends !== undefined ? ends : Math.min(parts.length - 1, Math.max(0, r + move));
        parts.forEach((other, k) => { other.tabIndex = k === next ? 0 : -1; });
        parts[next].focus();
      } else if (event.key === "Enter" || event.key === " ") p.click();
      else if (event.key === "Escape") { pinned = null; p.blur(); show(null); }
      else return;
      event.preventDefault();
    });
  });
  units.forEach((u) => {
    u.addEventListener("mouseenter", () => served(+u.dataset.k));
    u.addEventListener("mouseleave", reset);
  });
  show(null);
})();
