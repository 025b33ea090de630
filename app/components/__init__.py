"""The only callers of folium; every text from outside is escaped here."""
