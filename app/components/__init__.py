"""Components of the pages. External text is escaped here; folium is used nowhere else."""
