"use strict";
document.documentElement.classList.add("js");

/* a table that goes on to the right fades out there */
const fades = new ResizeObserver((entries) => entries.forEach(({ target }) => mark(target.closest(".box"))));
const mark = (box) => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
for (const box of document.querySelectorAll(".box")) {
  box.addEventListener("scroll", () => mark(box), { passive: true });
  fades.observe(box);
  fades.observe(box.firstElementChild);
}

/* the ranking: a column's button sorts, better first; again, the other way round; what has no value stays last */
for (const table of document.querySelectorAll("table.ranking")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    button.addEventListener("click", () => {
      const first = button.dataset.first;
      const other = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      const sign = order === "ascending" ? 1 : -1;
      const key = (row) => row.cells[column].dataset.sort;
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const by = Number(x) - Number(y);
        return sign * (Number.isNaN(by) ? x.localeCompare(y) : by);
      };
      body.append(...[...body.rows].sort(compare));
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      document.getElementById("sorted").textContent = `Sorted by ${button.textContent}, ${order}.`;
    });
  });
}

/* the maps: which columns, which rows, how much of the input shines through, how large */
const controls = document.querySelector("form.controls");
if (controls) {
  const table = document.querySelector("table.maps");
  const boxes = [...controls.querySelectorAll("input[type=checkbox]")];
  const target = document.getElementById("target");
  const fade = document.getElementById("fade");
  const size = document.getElementById("size");
  const counted = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

  const show = () => {
    const chosen = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    for (const cell of table.querySelectorAll("[data-column]")) cell.hidden = !chosen.has(cell.dataset.column);
    let rows = 0;
    for (const example of table.tBodies) {
      const wanted = target.value === "all" || example.dataset.target === target.value;
      example.hidden = !(target.value === "differs" ? example.dataset.differs === "yes" : wanted);
      rows += !example.hidden;
    }
    document.getElementById("shown").textContent = `${counted(rows, "example")}, ${counted(chosen.size, "map")} each`;
  };
  const draw = () => {
    if (fade) {
      table.style.setProperty("--fade", fade.value / 100);
      controls.querySelector("output[for=fade]").textContent = `${fade.value} %`;
    }
    table.style.setProperty("--side", `${size.value}px`);
    controls.querySelector("output[for=size]").textContent = `${size.value} px`;
  };

  controls.addEventListener("submit", (event) => event.preventDefault());
  for (const button of controls.querySelectorAll("button[data-choose]")) {
    button.addEventListener("click", () => {
      const heads = table.tHead.rows[0];
      boxes.forEach((box, k) => {
        const control = heads.cells[k + 1].classList.contains("control");
        box.checked = button.dataset.choose === "all" || (button.dataset.choose === "explainers" && !control);
      });
      show();
    });
  }
  boxes.forEach((box) => box.addEventListener("change", show));
  target.addEventListener("change", show);
  [fade, size].forEach((slider) => slider?.addEventListener("input", draw));
  show();
  draw();
}
