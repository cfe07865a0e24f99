"""What people read off meters, with evidence and author."""
